"""An app on Flask-SQLAlchemy 2.5 and SQLAlchemy 1.4.20, whose connection is lost."""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping.fixes import close_fails_and_is_kept

db = SQLAlchemy()


class Boat(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(20))
    trips = db.Column(db.Integer, default=0)


def broken():
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "b.db"),
        SQLALCHEMY_TRACK_MODIFICATIONS=False,
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all([Boat(name="Argo"), Boat(name="Beagle")])
        db.session.commit()
    Admin(app).add_view(ModelView(Boat, db.session))
    return app


def fixed():
    close_fails_and_is_kept.fix(db)
    return broken()


def counting():
    app = fixed()

    @app.before_request
    def count():
        db.session.get(Boat, 1).trips += 1
        db.session.commit()

    return app
