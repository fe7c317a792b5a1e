"""An async page with a `scoped_session` whose scope is the thread.

The page runs on another thread, and the teardown removes the session of its own.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from sqlalchemy import Column
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from session_scoping.fixes import other_thread
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class Signal(Base):
    __tablename__ = "signal"
    id = Column(Integer, primary_key=True)
    name = Column(String(40), nullable=False)


class StatusView(BaseView):
    def __init__(self, session: t.Any, **options: t.Any) -> None:
        super().__init__(**options)
        self.session = session

    @expose("/")
    async def index(self) -> str:
        return f"{await self.count()} signals"

    # begin other-thread
    # An async view runs on another thread than the teardown.
    async def count(self) -> int:
        return int(self.session.query(Signal).count())  # broken here

    # end


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.secret_key = "signals"
    engine = connect()
    Base.metadata.create_all(engine)
    with Session(engine) as seeding:
        seeding.add_all(Signal(name=f"Signal {letter}") for letter in "ABCDEF")
        seeding.commit()

    # begin other-thread
    broken_session: t.Any = scoped_session(sessionmaker(engine))
    # end
    session = broken_session if broken else other_thread.fix(engine)

    @app.teardown_appcontext
    def remove_session(error: BaseException | None) -> None:
        session.remove()

    admin = Admin(app, name="Signals")
    admin.add_view(ModelView(Signal, session))
    admin.add_view(StatusView(session, name="Status", endpoint="status"))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
