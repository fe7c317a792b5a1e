"""The teardown closes the `scoped_session`, which stays in its registry.

Whatever was set on that session in one request is still set in the next one.
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
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class Recipe(Base):
    __tablename__ = "recipe"
    id = Column(Integer, primary_key=True)
    name = Column(String(40), nullable=False)
    minutes = Column(Integer)


class RecipeView(ModelView):
    column_searchable_list = ("name",)
    column_filters = ("minutes",)


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.secret_key = "recipes"
    engine = connect()
    Base.metadata.create_all(engine)
    with Session(engine) as seeding:
        names = "Soup", "Salad", "Bread", "Cake", "Stew"
        seeding.add_all(Recipe(name=name, minutes=9 * len(name)) for name in names)
        seeding.commit()

    session: t.Any = scoped_session(sessionmaker(engine))

    @app.teardown_appcontext
    def end_session(error: BaseException | None) -> None:
        if broken:
            session.close()
        else:
            session.remove()

    admin = Admin(app, name="Recipes")
    admin.add_view(RecipeView(Recipe, session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
