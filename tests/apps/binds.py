"""An app with two databases, and a page that never closes its session on the second.
A second session is no mistake here: it is another database."""
# mypy: allow-subclassing-any

import typing as t

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Letter(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    subject = db.Column(db.String(40), nullable=False)


class OldLetter(db.Model):
    __bind_key__ = "archive"
    id = db.Column(db.Integer, primary_key=True)
    subject = db.Column(db.String(40), nullable=False)


class TotalView(BaseView):
    def old(self) -> int:
        return int(db.session.query(OldLetter).count())

    @expose("/")
    def index(self) -> str:
        return f"{db.session.query(Letter).count()} letters, and {self.old()} old ones"


class ApartTotalView(TotalView):
    def old(self) -> int:
        archive = Session(db.session().get_bind(sa.inspect(OldLetter)))
        return archive.query(OldLetter).count()  # broken here


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(
        SECRET_KEY="letters",
        SQLALCHEMY_DATABASE_URI=URL,
        SQLALCHEMY_BINDS={"archive": "sqlite://"},
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        for subject in "Rent", "Taxes", "Holiday", "Garden", "Wedding":
            db.session.add(Letter(subject=subject))
            db.session.add(OldLetter(subject=f"{subject} of last year"))
        db.session.commit()

    admin = Admin(app, name="Letters")
    admin.add_view(ModelView(Letter, db.session))
    admin.add_view(ModelView(OldLetter, db.session, category="Archive"))
    view = ApartTotalView if broken else TotalView
    admin.add_view(view(name="Total", endpoint="total"))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
