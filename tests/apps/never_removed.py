"""A `scoped_session` that is never removed.

Each thread of the server keeps its session for ever, so that a row looks different
from one click to the next.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from sqlalchemy import Boolean
from sqlalchemy import Column
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping.fixes import never_removed
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class Task(Base):
    __tablename__ = "task"
    id = Column(Integer, primary_key=True)
    title = Column(String(40), nullable=False)
    done = Column(Boolean, default=False)


class TaskView(ModelView):
    column_searchable_list = ("title",)
    column_editable_list = ("done",)


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.secret_key = "tasks"
    engine = connect()
    # begin never-removed
    # No teardown calls session.remove().
    session: t.Any = scoped_session(sessionmaker(engine))
    # end

    Base.metadata.create_all(engine)
    if session.query(Task).count() == 0:
        titles = "Sweep", "Cook", "Mend", "Write", "Rest", "Read"
        session.add_all(Task(title=title) for title in titles)
        session.commit()
    session.remove()

    if not broken:
        never_removed.fix(app, session)

    # begin never-removed
    admin = Admin(app, name="Tasks")
    admin.add_view(TaskView(Task, session))
    # end
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
