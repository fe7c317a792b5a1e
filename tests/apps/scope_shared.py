"""One scope for all the requests, which nobody ever leaves.

Two people at once are in one transaction: either may commit, or lose, the other's work.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from sqlalchemy import Column
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class Seat(Base):
    __tablename__ = "seat"
    id = Column(Integer, primary_key=True)
    row = Column(String(4), nullable=False)
    guest = Column(String(40))


class SeatView(ModelView):
    column_searchable_list = ("guest", "row")
    can_view_details = True


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.secret_key = "seats"
    engine = connect()
    scope = (lambda: 1) if broken else None
    session: t.Any = scoped_session(sessionmaker(engine), scopefunc=scope)

    Base.metadata.create_all(engine)
    if session.query(Seat).count() == 0:
        guests = "Anna", "Ben", "Cleo", "Dora", "Enno", "Fritz"
        session.add_all(Seat(row="A", guest=guest) for guest in guests)
        session.commit()
    session.remove()

    if not broken:
        app.teardown_appcontext(lambda error: session.remove())

    admin = Admin(app, name="Seats")
    admin.add_view(SeatView(Seat, session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
