"""A pattern that many answers recommend (flask-admin 1449 and its kin): an audit log that stays when the
change is rolled back, through a short session of its own. `fixed` closes it. It is a second session in
the request still, on purpose: `--leave-alone` says so."""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class TeamChange(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    text = db.Column(db.String(80))


class Finisher(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))


class LeakyFinisherView(ModelView):
    def after_model_change(self, form, model, is_created):
        audit = Session(db.engine)  # reported
        audit.add(TeamChange(text=f"{model.name} was saved"))
        audit.commit()
        audit.query(TeamChange).count()


class FinisherView(ModelView):
    def after_model_change(self, form, model, is_created):
        with Session(db.engine) as audit:  # reported
            audit.add(TeamChange(text=f"{model.name} was saved"))
            audit.commit()


def create_app(view):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "f.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add(Finisher(name="ada"))
        db.session.commit()
    Admin(app).add_view(view(Finisher, db.session))
    return app


def broken():
    return create_app(LeakyFinisherView)


def fixed():
    return create_app(FinisherView)
