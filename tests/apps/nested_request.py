"""A page asks another page of the same app, and that one removes the session of both.

Only where the session is removed after each request, and not with the app context.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import current_app
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
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class Job(Base):
    __tablename__ = "job"
    id = Column(Integer, primary_key=True)
    name = Column(String(40), nullable=False)


class StatusView(BaseView):
    def __init__(self, session: t.Any, **options: t.Any) -> None:
        super().__init__(**options)
        self.session = session

    @expose("/")
    def index(self) -> str:
        jobs = self.session.query(Job)
        first = jobs.first()
        health = current_app.test_client().get("/health")
        number = jobs.count()  # broken here
        return f"{health.get_data(as_text=True)}: {number} jobs since {first.name}"


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.secret_key = "jobs"
    engine = connect()
    Base.metadata.create_all(engine)
    with Session(engine) as seeding:
        names = "Ask", "Build", "Copy", "Drop", "Export"
        seeding.add_all(Job(name=name) for name in names)
        seeding.commit()

    session: t.Any = scoped_session(sessionmaker(engine))

    @app.get("/health")
    def health() -> str:
        return "well" if session.query(Job).count() else "empty"

    def remove_session(error: BaseException | None) -> None:
        session.remove()

    if broken:
        app.teardown_request(remove_session)
    else:
        app.teardown_appcontext(remove_session)

    admin = Admin(app, name="Jobs")
    admin.add_view(ModelView(Job, session))
    admin.add_view(StatusView(session, name="Status", endpoint="status"))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
