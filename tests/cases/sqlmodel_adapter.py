"""flask-admin issue 2528: an adapter of one's own, so that SQLModel's Session can be given to views.

It gives a new session for each attribute that a view asks for; nobody closes them.
"""

import os
import tempfile

from flask import Flask
from flask import g
from sqlalchemy import String
from sqlmodel import create_engine
from sqlmodel import Field
from sqlmodel import Session
from sqlmodel import SQLModel

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView


class Campaign(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    title: str = Field(sa_type=String)  # AutoString has no field in Flask-Admin
    budget: int = 0


engine = create_engine("sqlite:///" + os.path.join(tempfile.mkdtemp(), "c.db"))
SQLModel.metadata.create_all(engine)
with Session(engine) as seed:
    seed.add_all([Campaign(title="Spring"), Campaign(title="Autumn", budget=3)])
    seed.commit()


class SessionAdapter:
    def __init__(self, engine):
        self.engine = engine

    def __enter__(self):
        self._session = Session(self.engine)
        return self._session

    def __exit__(self, *_):
        self._session.close()

    def __getattr__(self, name):
        return getattr(Session(self.engine), name)  # reported


class RequestSession:
    """Fixed: one for each request, in g, closed by the teardown."""

    def __init__(self, engine):
        self.engine = engine

    def __getattr__(self, name):
        if "sql" not in g:
            g.sql = Session(self.engine)
        return getattr(g.sql, name)


class CampaignView(ModelView):
    column_searchable_list = ["title"]
    can_export = True


def create_app(handle):
    app = Flask(__name__)
    app.secret_key = "x"

    @app.teardown_appcontext
    def close(error):
        session = g.pop("sql", None)
        if session is not None:
            session.close()

    with app.app_context():
        Admin(app).add_view(CampaignView(Campaign, handle))
    return app


def broken():
    return create_app(SessionAdapter(engine))


def fixed():
    return create_app(RequestSession(engine))
