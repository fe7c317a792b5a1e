"""A page counts on a thread, whose session is never closed.

Each visit leaves a connection behind, "idle in transaction".
"""
# mypy: allow-subclassing-any

import threading
import typing as t

from flask import current_app
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from session_scoping.fixes import own_thread
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Bird(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)


class CountView(BaseView):
    def work(self, app: Flask, counts: list[int]) -> t.Callable[[], None]:
        return own_thread.fix(db.engine, Bird, counts)

    @expose("/")
    def index(self) -> str:
        counts: list[int] = []
        app = t.cast(t.Any, current_app)._get_current_object()
        worker = threading.Thread(target=self.work(app, counts))
        worker.start()
        worker.join()
        return f"{counts} birds"


class LooseCountView(CountView):
    def work(self, app: Flask, counts: list[int]) -> t.Callable[[], None]:
        engine = db.engine

        # begin session-in-thread
        # This runs on a thread.
        def count() -> None:
            session = Session(engine)
            counts.append(session.query(Bird).count())  # broken here

        # end

        return count


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "birds"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        names = "Auk", "Bittern", "Coot", "Dove", "Egret"
        db.session.add_all(Bird(name=name) for name in names)
        db.session.commit()

    view = LooseCountView if broken else CountView
    admin = Admin(app, name="Birds")
    admin.add_view(ModelView(Bird, db.session))
    admin.add_view(view(name="Count", endpoint="count"))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
