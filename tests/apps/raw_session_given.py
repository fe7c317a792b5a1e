"""A view is given a session where it should be given a handle.

One session serves all: after an error that nobody rolled back, every page answers with
`PendingRollbackError` until the app is started again.
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
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class Ticket(Base):
    __tablename__ = "ticket"
    id = Column(Integer, primary_key=True)
    subject = Column(String(40), unique=True, nullable=False)


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.secret_key = "tickets"
    engine = connect()
    Base.metadata.create_all(engine)
    with Session(engine) as seeding:
        subjects = "No light", "Door stuck", "Cold soup", "Lost key", "Wet floor"
        seeding.add_all(Ticket(subject=subject) for subject in subjects)
        seeding.commit()

    session: t.Any
    if broken:
        session = Session(engine)  # broken here
    else:
        session = scoped_session(sessionmaker(engine))
        app.teardown_appcontext(lambda error: session.remove())

    admin = Admin(app, name="Tickets")
    admin.add_view(ModelView(Ticket, session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
