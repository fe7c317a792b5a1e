"""A page takes a connection past all sessions, and keeps it for next time.

The pool has one connection less for ever, and the database a transaction without end.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Stamp(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    motif = db.Column(db.String(40), nullable=False)


class SizeView(BaseView):
    def size(self) -> t.Any:
        with db.engine.connect() as connection:
            return connection.execute(text("SELECT count(*) FROM stamp")).scalar()

    @expose("/")
    def index(self) -> str:
        return f"{self.size()} stamps"


class FastSizeView(SizeView):
    connection: t.Any = None

    def size(self) -> t.Any:
        if self.connection is None:
            self.connection = db.engine.connect()  # broken here
        return self.connection.execute(text("SELECT count(*) FROM stamp")).scalar()


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "stamps"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        for motif in "Alps", "Bridge", "Castle", "Dome", "Eagle":
            db.session.add(Stamp(motif=motif))
        db.session.commit()

    view = FastSizeView if broken else SizeView
    admin = Admin(app, name="Stamps")
    admin.add_view(ModelView(Stamp, db.session))
    admin.add_view(view(name="Size", endpoint="size"))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
