"""pawamoy/shellhistory issue 22: the admin page says "SQLite objects created in a thread can only be
used in that same thread". One session made at import, given to the view and used by the routes."""

import os
import tempfile

from flask import Flask
from flask import jsonify
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import SingletonThreadPool

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

path = os.path.join(tempfile.mkdtemp(), "history.db")
engine = create_engine(
    "sqlite:///" + path,
    poolclass=SingletonThreadPool,
    connect_args={"check_same_thread": True},
)
Session = sessionmaker(bind=engine)
Base = declarative_base()


class Command(Base):
    __tablename__ = "command"
    id = Column(Integer, primary_key=True)
    line = Column(String(200))


Base.metadata.create_all(engine)
with Session() as seed:
    seed.add_all(Command(line=line) for line in ("ls", "cd /", "vim"))
    seed.commit()


class HistoryView(ModelView):
    can_create = False
    column_searchable_list = ["line"]


def get_session():
    return Session()


def create_app(session):
    app = Flask(__name__)
    app.secret_key = "x"
    Admin(app, name="History").add_view(HistoryView(Command, session))

    @app.get("/top")
    def top():
        return jsonify([one.line for one in session.query(Command).limit(2)])

    return app


def broken():
    return create_app(get_session())


def fixed():
    session = scoped_session(Session)
    app = create_app(session)

    @app.teardown_appcontext
    def remove(error):
        session.remove()

    return app


def visit(app):
    app.test_client().get("/top")
    app.test_client().get("/top")
