"""flask-admin issue 2596 (1752): two people edit one row, the last one wins without a message. Each request
has a session of its own here: it takes a version that the form carries along."""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from wtforms import HiddenField

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Entry(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    text = db.Column(db.String(40))


class Versioned(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    text = db.Column(db.String(40))
    version = db.Column(db.Integer, nullable=False)
    __mapper_args__ = {"version_id_col": version}


class VersionedView(ModelView):
    form_columns = ["text", "seen"]
    form_extra_fields = {"seen": HiddenField()}

    def on_form_prefill(self, form, id):
        form.seen.data = self.get_one(id).version

    def on_model_change(self, form, model, is_created):
        if (
            not is_created
            and form.seen.data
            and str(model.version) != str(form.seen.data)
        ):
            raise ValueError("somebody else has saved it meanwhile")


def create_app(view, model):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "e.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add(model(text="first"))
        db.session.commit()
    Admin(app).add_view(view(model, db.session))
    return app


def broken():
    return create_app(ModelView, Entry)


def fixed():
    return create_app(VersionedView, Versioned)
