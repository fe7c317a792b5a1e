"""A session in `g` for each request, given to the views by a handle of one's own.

Nobody closes it when the request is over: its connection comes back only when the
garbage collector passes by.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask import g
from sqlalchemy import Column
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.engine import Engine
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class Stamp(Base):
    __tablename__ = "stamp"
    id = Column(Integer, primary_key=True)
    country = Column(String(40), nullable=False)


class CurrentSession:
    """Passes everything on to the session of the request."""

    def __init__(self, engine: Engine) -> None:
        self.make_session = sessionmaker(engine)

    @property
    def session(self) -> "CurrentSession":
        """Flask-Admin 2.1 and newer look for it."""
        return self

    def __getattr__(self, name: str) -> t.Any:
        if "session" not in g:
            g.session = self.make_session()
        return getattr(g.session, name)


class StampView(ModelView):
    column_searchable_list = ("country",)


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.secret_key = "stamps"
    engine = connect()
    session: t.Any = CurrentSession(engine)

    Base.metadata.create_all(engine)
    with session.make_session() as first:
        if first.query(Stamp).count() == 0:
            countries = "Chad", "Peru", "Oman", "Fiji", "Cuba", "Mali"
            first.add_all(Stamp(country=country) for country in countries)
            first.commit()

    if not broken:

        @app.teardown_appcontext
        def close_session(error: BaseException | None) -> None:
            current = g.pop("session", None)
            if current is not None:
                current.close()

    admin = Admin(app, name="Stamps")
    with app.app_context():
        admin.add_view(StampView(Stamp, session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
