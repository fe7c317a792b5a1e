"""airflow pull request 61480 (and 68100): Flask lives beside another framework in one process.

The other framework authenticates with the same scoped_session, on threads of a pool, before it
hands the request to Flask; where it answers by itself nothing removes the session of that thread.
The user object is kept in a TTL cache.
"""

import os
import tempfile

from cachetools import TTLCache
from flask import Flask
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy import select
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

engine = create_engine("sqlite:///" + os.path.join(tempfile.mkdtemp(), "o.db"))
Session = scoped_session(sessionmaker(bind=engine))
Base = declarative_base()
users = TTLCache(maxsize=64, ttl=30)


class Operator(Base):
    __tablename__ = "operator"
    id = Column(Integer, primary_key=True)
    name = Column(String(40))


def deserialize_user(key):
    if key not in users:
        users[key] = Session.scalars(  # reported
            select(Operator).where(Operator.id == key)
        ).one()
    return users[key]


def fresh_user(key):
    with sessionmaker(engine)() as own:
        return own.get(Operator, key).name


class Outer:
    """Stands for the ASGI app: /token it answers itself, all else is Flask's."""

    def __init__(self, flask, authenticate):
        self.flask = flask
        self.authenticate = authenticate

    def __call__(self, environ, start_response):
        environ["operator"] = self.authenticate(1)
        if environ["PATH_INFO"] == "/token":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"token"]
        return self.flask(environ, start_response)


def create_app(authenticate):
    users.clear()
    app = Flask(__name__)
    app.secret_key = "x"
    Base.metadata.create_all(engine)
    with sessionmaker(engine)() as seed:
        if not seed.query(Operator).count():
            seed.add(Operator(name="root"))
            seed.commit()

    @app.teardown_appcontext
    def remove(error):
        Session.remove()

    @app.get("/who")
    def who():
        return str(Session.query(Operator).count())

    Admin(app).add_view(ModelView(Operator, Session))
    app.outer = Outer(app, authenticate)
    return app


def broken():
    return create_app(deserialize_user)


def fixed():
    return create_app(fresh_user)


def visit(app):
    from werkzeug.test import Client

    client = Client(app.outer)
    client.get("/token")
    client.get("/who")
    client.get("/who")
