"""An export loads a column row by row, while the answer is streamed.

With Flask 3.1.2 or newer the file ends after its first line: `DetachedInstanceError`.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping.fixes import streams_too_late
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Post(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(40), nullable=False)
    writer_id = db.Column(db.Integer, db.ForeignKey("writer.id"))

    def __str__(self) -> str:
        return str(self.title)


class Writer(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)
    posts = db.relationship(Post, backref="writer")


# begin streamed-export
# The posts of a row are loaded when the row is written to the stream.
class WriterView(ModelView):
    column_list = ("name",)
    column_details_list: t.Any = ("name", "posts")
    column_export_list: t.Any = ("name", "posts")
    column_searchable_list = ("name",)
    can_view_details = True
    can_export = True


# end


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "writers"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        for name in "Andri", "Berta", "Cosmo", "Delia", "Ewald":
            db.session.add(Writer(name=name, posts=[Post(title=f"My name is {name}")]))
        db.session.commit()

    view = WriterView if broken else streams_too_late.fix(WriterView, Writer)
    admin = Admin(app, name="Writers")
    admin.add_view(view(Writer, db))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
