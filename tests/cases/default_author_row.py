"""flask-admin issue 945: the class body asks the database for the choices and for the default row.

What was loaded in the module's app context is kept by the class: the default is a detached row,
the choices are those of the start.
"""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Member(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    nickname = db.Column(db.String(40), nullable=False)
    role = db.Column(db.String(10), default="reader")

    def __str__(self):
        return self.nickname


class Post(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(40), nullable=False)
    author_id = db.Column(db.ForeignKey("member.id"))
    author = db.relationship(Member)


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "x"
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///" + os.path.join(
        tempfile.mkdtemp(), "b.db"
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all(
            [Member(nickname="root", role="admin"), Member(nickname="guest")]
        )
        db.session.flush()
        db.session.add(Post(title="Hello", author_id=1))
        db.session.commit()
    return app


def broken():
    app = create_app()
    with app.app_context():

        class PostView(ModelView):
            form_args = {
                "author": {
                    "default": Member.query.filter_by(role="admin").first()  # reported
                },
            }
            form_columns = ["title", "author"]

        Admin(app).add_view(PostView(Post, db.session))
    return app


def fixed():
    app = create_app()

    class PostView(ModelView):
        form_args = {
            "author": {
                "query_factory": lambda: db.session.query(Member).filter_by(
                    role="admin"
                ),
                "default": lambda: (
                    db.session.query(Member).filter_by(role="admin").first()
                ),
            },
        }
        form_columns = ["title", "author"]

    Admin(app).add_view(PostView(Post, db.session))
    return app
