"""Flask-SocketIO issue 1500 (flask-sqlalchemy 930): a few refreshes, and "QueuePool limit of size 5
overflow 10 reached". Event handlers and a background emitter use a scoped_session; no request ends
there, so no teardown_request runs for them."""

import os
import tempfile
from contextlib import nullcontext

from flask import Flask
from flask_socketio import emit
from flask_socketio import SocketIO
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

engine = create_engine("sqlite:///" + os.path.join(tempfile.mkdtemp(), "s.db"))
session = scoped_session(sessionmaker(bind=engine))
Base = declarative_base()
Base.query = session.query_property()


class Player(Base):
    __tablename__ = "player"
    id = Column(Integer, primary_key=True)
    name = Column(String(40))


def create_app(close_in_handlers, in_context=False):
    app = Flask(__name__)
    app.secret_key = "x"
    app.sockets = SocketIO(app, async_mode="threading")
    Base.metadata.create_all(engine)
    if not session.query(Player).count():
        session.add(Player(name="ada"))
        session.commit()
    session.remove()

    @app.teardown_request
    def remove(error):
        session.remove()

    @app.get("/")
    def index():
        return str(session.query(Player).count())

    def answer(number):
        try:
            return Player.query.filter_by(id=number).first().name  # reported
        finally:
            if close_in_handlers:
                session.remove()

    @app.sockets.on("update_me")
    def update_me(data):
        emit("updated", {"name": answer(data["id"])})

    def emitter():
        with app.app_context() if in_context else nullcontext():
            tick()

    def tick():
        app.sockets.emit("tick", {"name": answer(1)})

    @app.sockets.on("start")
    def start(data):
        app.sockets.start_background_task(emitter).join()

    Admin(app).add_view(ModelView(Player, session))
    return app


def broken():
    return create_app(False)


def fixed():
    return create_app(True)


def with_a_context():
    """The change that the guard names. The app removes in teardown_request, so it does nothing."""
    return create_app(False, in_context=True)


def visit(app):
    http = app.test_client()
    http.get("/")
    client = app.sockets.test_client(app, flask_test_client=http)
    client.emit("update_me", {"id": 1})
    client.emit("start", {})
    http.get("/")
