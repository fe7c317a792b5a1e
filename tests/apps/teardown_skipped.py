"""The teardown removes the session only if there was no error.

After a page that failed, the next request of that thread goes on in its transaction.
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
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class Delivery(Base):
    __tablename__ = "delivery"
    id = Column(Integer, primary_key=True)
    town = Column(String(40), nullable=False)
    days = Column(Integer)


class AverageView(BaseView):
    def __init__(self, session: t.Any, **options: t.Any) -> None:
        super().__init__(**options)
        self.session = session

    @expose("/")
    def index(self) -> str:
        late = self.session.query(Delivery).filter(Delivery.days > 99)
        days = [one.days for one in late]  # broken here
        return f"{sum(days) / len(days)} days"


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.secret_key = "deliveries"
    engine = connect()
    Base.metadata.create_all(engine)
    with Session(engine) as seeding:
        towns = "Ulm", "Trier", "Celle", "Bonn", "Essen", "Aachen"
        seeding.add_all(Delivery(town=town, days=len(town)) for town in towns)
        seeding.commit()

    session: t.Any = scoped_session(sessionmaker(engine))

    @app.teardown_appcontext
    def end_session(error: BaseException | None) -> None:
        if error is None or not broken:
            session.remove()

    admin = Admin(app, name="Deliveries")
    admin.add_view(ModelView(Delivery, session))
    admin.add_view(AverageView(session, name="Average", endpoint="average"))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
