"""The scope of the sessions is a new one for each call.

"Already attached to session 1 (this is 2)": nothing that is edited can be saved.
"""
# mypy: allow-subclassing-any

import typing as t
from uuid import uuid4

from flask import Flask
from sqlalchemy import Column
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class Song(Base):
    __tablename__ = "song"
    id = Column(Integer, primary_key=True)
    title = Column(String(40), nullable=False)


class SongView(ModelView):
    column_searchable_list = ("title",)
    column_editable_list = ("title",)


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.secret_key = "songs"
    engine = connect()
    Base.metadata.create_all(engine)
    with Session(engine) as seeding:
        titles = "Aria", "Ballad", "Carol", "Dirge", "Elegy"
        seeding.add_all(Song(title=title) for title in titles)
        seeding.commit()

    scope = uuid4 if broken else None
    session: t.Any = scoped_session(sessionmaker(engine), scopefunc=scope)

    @app.teardown_appcontext
    def remove_session(error: BaseException | None) -> None:
        session.remove()

    admin = Admin(app, name="Songs")
    admin.add_view(SongView(Song, session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
