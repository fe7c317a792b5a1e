"""No report of one person: the smallest app in which an error page hides all. fedora-infra/tahrir 109, hil 454:
sessions made in each request and never closed, "too many connections"; here on a page that is not there."""

import os
import tempfile

from flask import abort
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()
kept = []


class Badge(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))


def create_app(close):
    kept.clear()
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "b.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()

    @app.get("/badge/<int:number>")
    def badge(number):
        session = Session(db.engine)  # reported
        kept.append(session)
        found = session.get(Badge, number)
        if close:
            kept.remove(session)
            session.close()
        if found is None:
            abort(404)
        return found.name

    Admin(app).add_view(ModelView(Badge, db.session))
    return app


def broken():
    return create_app(False)


def fixed():
    return create_app(True)


def visit(app):
    assert app.test_client().get("/badge/9").status_code == 404


def visit_and_read(app):
    answer = app.test_client().get("/badge/9")
    assert answer.status_code == 404
    assert b"Not Found" in answer.data
