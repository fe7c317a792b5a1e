"""facebook/sapp pull request 37, dgilland/sqlservice issue 3: a scoped_session whose scope is the app context,
by its id(); with it the sessions look request-scoped, but without remove() the registry keeps them all,
and a later context that gets the same id gets an old session."""

import os
import tempfile

from flask import Flask
from flask.globals import app_ctx
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

Base = declarative_base()


class Run(Base):
    __tablename__ = "run"
    id = Column(Integer, primary_key=True)
    status = Column(String(40))


def create_app():
    engine = create_engine("sqlite:///" + os.path.join(tempfile.mkdtemp(), "s.db"))
    session = scoped_session(
        sessionmaker(engine), scopefunc=lambda: id(app_ctx._get_current_object())
    )
    app = Flask(__name__)
    app.secret_key = "x"
    Base.metadata.create_all(engine)
    with sessionmaker(engine)() as seed:
        seed.add_all([Run(status="done"), Run(status="new")])
        seed.commit()

    @app.get("/runs")
    def runs():
        return str(session.query(Run).count())

    Admin(app).add_view(ModelView(Run, session))
    app.db_session = session
    return app


def broken():
    return create_app()


def fixed():
    app = create_app()

    @app.teardown_appcontext
    def remove(error):
        app.db_session.remove()

    return app


def visit(app):
    client = app.test_client()
    for _ in range(3):
        client.get("/runs")
