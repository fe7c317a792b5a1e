"""flask-admin issue 2102: on_model_change asks the database for another row; the half-filled model is
flushed on the way, "null value violates not-null constraint", the except of the hook swallows it."""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from wtforms import StringField

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Offerer(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    siren = db.Column(db.String(9))


class ApiKey(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    note = db.Column(db.String(40))
    offerer_id = db.Column(db.ForeignKey("offerer.id"), nullable=False)


def find_by_siren(siren):
    return (
        Offerer.query.filter_by(siren=siren).first()  # reported
        or Offerer.query.first()
    )


class ApiKeyView(ModelView):
    form_columns = ["note", "siren"]
    form_extra_fields = {"siren": StringField("Siren")}

    def on_model_change(self, form, model, is_created):
        try:
            model.offerer_id = find_by_siren(form.siren.data).id
        except Exception as error:
            print("unexpected", type(error).__name__)


class CalmApiKeyView(ApiKeyView):
    def on_model_change(self, form, model, is_created):
        with db.session.no_autoflush:
            model.offerer_id = find_by_siren(form.siren.data).id


def create_app(view):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "k.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add(Offerer(siren="123456789"))
        db.session.flush()
        db.session.add(ApiKey(note="first", offerer_id=1))
        db.session.commit()
    Admin(app).add_view(view(ApiKey, db.session))
    return app


def broken():
    return create_app(ApiKeyView)


def fixed():
    return create_app(CalmApiKeyView)


def visit(app):
    client = app.test_client()
    client.post("/admin/apikey/new/", data={"note": "n", "siren": "123456789"})
