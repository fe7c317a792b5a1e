"""`on_model_change` writes its log through a session of its own, when a row is saved.

The log says "saved" even where the row itself was refused.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Account(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    owner = db.Column(db.String(40), nullable=False)
    note = db.Column(db.Text)


class LogEntry(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    text = db.Column(db.String(80), nullable=False)


class AccountView(ModelView):
    column_searchable_list = ("owner",)
    column_editable_list = ("owner",)

    def on_model_change(self, form: t.Any, model: t.Any, is_created: bool) -> None:
        db.session.add(LogEntry(text=f"saved {model.owner}"))


class AuditedAccountView(AccountView):
    def on_model_change(self, form: t.Any, model: t.Any, is_created: bool) -> None:
        log = Session(db.engine)
        log.add(LogEntry(text=f"saved {model.owner}"))  # broken here
        log.flush()
        log.commit()


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "accounts"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        for owner in "Adele", "Bruno", "Clara", "David", "Edith":
            db.session.add(Account(owner=owner, note=f"of {owner}"))
        db.session.commit()

    view = AuditedAccountView if broken else AccountView
    admin = Admin(app, name="Accounts")
    admin.add_view(view(Account, db.session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
