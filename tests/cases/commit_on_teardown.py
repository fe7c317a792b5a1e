"""stackoverflow question 23301968 (flask-sqlalchemy 216, 262): after one failed request a thread answers
"This Session's transaction has been rolled back" or "Can't reconnect until invalid transaction is
rolled back" for the rest of its life.

A teardown commits (SQLALCHEMY_COMMIT_ON_TEARDOWN, or one's own after it was taken out); it
raises, so that the teardown that removes the session is never reached.
"""

import os
import tempfile

from flask import Flask
from flask import request
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Tag(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), unique=True)


def create_app():
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "t.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add(Tag(name="news"))
        db.session.commit()
    return app


def broken():
    app = create_app()

    @app.teardown_appcontext
    def commit(error):
        if error is None:
            db.session.commit()  # reported

    @app.post("/tags")
    def add():
        db.session.add(Tag(name=request.form["name"]))
        return "added"

    Admin(app).add_view(ModelView(Tag, db.session))
    return app


def fixed():
    app = create_app()

    @app.post("/tags")
    def add():
        db.session.add(Tag(name=request.form["name"]))
        try:
            db.session.commit()
        except Exception:
            db.session.rollback()
            return "refused", 400
        return "added"

    Admin(app).add_view(ModelView(Tag, db.session))
    return app


def visit(app):
    for name in ("new", "news", "newer"):
        try:
            app.test_client().post("/tags", data={"name": name})
        except Exception:
            pass  # the test client passes on what a teardown raises; a server answers 500
