"""A handle that is a function behind a proxy: it makes a new session at each access."""

import os
import tempfile

from flask import Flask
from flask import g
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import sessionmaker
from werkzeug.local import LocalProxy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

engine = create_engine("sqlite:///" + os.path.join(tempfile.mkdtemp(), "m.db"))
new_session = sessionmaker(bind=engine)
Base = declarative_base()


class Member(Base):
    __tablename__ = "member"
    id = Column(Integer, primary_key=True)
    name = Column(String(20))


Base.metadata.create_all(engine)
with new_session() as seed:
    seed.add_all([Member(name="Ada"), Member(name="Bea")])
    seed.commit()


def make_session():
    return new_session()  # reported


def session_of_request():
    if "session" not in g:
        g.session = new_session()
    return g.session


def create_app(get_session):
    app = Flask(__name__)
    app.secret_key = "x"
    with app.app_context():
        Admin(app).add_view(ModelView(Member, LocalProxy(get_session)))

    @app.teardown_appcontext
    def close_session(error):
        session = g.pop("session", None)
        if session is not None:
            session.close()

    return app


def broken():
    return create_app(make_session)


def fixed():
    return create_app(session_of_request)
