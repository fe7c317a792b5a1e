"""flask-admin issue 1166, flask-sqlalchemy pull request 104: a session of one's own class that reads from a
replica and writes to the primary; the second web head does not see what the first has saved, until
somebody commits there: the scoped_session is not removed. FIXED is an unusual, healthy handle."""

import os
import tempfile

from flask import Flask
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker
from sqlalchemy.sql import Delete
from sqlalchemy.sql import Update

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

path = os.path.join(tempfile.mkdtemp(), "m.db")
engines = {
    "edit": create_engine("sqlite:///" + path),
    "read": create_engine("sqlite:///" + path),
}
Base = declarative_base()


class Track(Base):
    __tablename__ = "track"
    id = Column(Integer, primary_key=True)
    title = Column(String(40))


class RoutingSession(Session):
    def get_bind(self, mapper=None, clause=None, **options):
        if self._flushing or isinstance(clause, (Update, Delete)):
            return engines["edit"]
        return engines["read"]


def create_app():
    app = Flask(__name__)
    app.secret_key = "x"
    app.handle = scoped_session(sessionmaker(class_=RoutingSession, autocommit=False))
    Base.metadata.create_all(engines["edit"])
    with sessionmaker(engines["edit"])() as seed:
        if not seed.query(Track).count():
            seed.add_all([Track(title="one"), Track(title="two")])
            seed.commit()
    Admin(app).add_view(ModelView(Track, app.handle))
    return app


def broken():
    return create_app()


def fixed():
    app = create_app()

    @app.teardown_appcontext
    def remove(error):
        app.handle.remove()

    return app
