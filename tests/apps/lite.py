"""Apps on Flask-SQLAlchemy-Lite."""

import typing as t

from flask import Flask
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping.fixes import lite_session
from tests.apps.engines import URL

db = SQLAlchemy()


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    age: Mapped[int] = mapped_column(default=18)


class Label(Base):
    __tablename__ = "label"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)


class UserView(ModelView):
    column_searchable_list = ("name",)
    column_filters = ("age",)
    can_export = True


def app_with(add_views: t.Callable[[Admin], object]) -> t.Callable[[], Flask]:
    """Return a function that makes the app with these views."""

    def create_app() -> Flask:
        app = Flask(__name__)
        app.config["SECRET_KEY"] = "users"
        app.config["SQLALCHEMY_ENGINES"] = {"default": URL}
        db.init_app(app)
        with app.app_context():
            Base.metadata.create_all(db.engine)
            for name in "Ada", "Bea", "Cid", "Dan", "Eve", "Fay":
                db.session.add_all([User(name=name), Label(name=name)])
            db.session.commit()

        admin = Admin(app, name="Users")
        with app.app_context():
            add_views(admin)
        return app

    return create_app


# A view holds db.session, taken while the app was built. With Lite that is a session
# and no handle: two people at once work in the same transaction.


# begin lite-session
# The view is built in an app context: this is the session of that context.
class HoldingView(UserView):
    def __init__(self, model: type[User], db: SQLAlchemy) -> None:
        session: t.Any = db.session  # broken: lite_session
        super().__init__(model, db)
        self.session = session


# end


lite_session_broken = app_with(lambda admin: admin.add_view(HoldingView(User, db)))
lite_session_fixed = app_with(lambda admin: lite_session.fix(admin, db, User, UserView))


# get_count_query closes the session, and the query that it returns goes on using it.
# What the request has not committed by then is lost without an error.


class ClosingView(UserView):
    def get_count_query(self) -> t.Any:
        query = super().get_count_query()
        db.session.close()
        return query


closed_in_count_query_broken = app_with(
    lambda admin: admin.add_view(ClosingView(User, db))
)
closed_in_count_query_fixed = app_with(lambda admin: admin.add_view(UserView(User, db)))


# Nothing is wrong here, but Flask-Admin 2.1.0 and 2.2.0 keep the session that their
# Unique validator got when the view was built: a name stays "already taken" although
# its row is deleted.


# begin unique-validator
# The name is unique in the model, so the form has a Unique validator.
class LabelView(ModelView):
    column_searchable_list = ("name",)
    column_editable_list = ("name",)


# end


lite_unique = app_with(lambda admin: admin.add_view(LabelView(Label, db)))
