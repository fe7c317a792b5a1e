"""Nothing is wrong in this app, but Flask-Admin 2.1.0 and 2.2.0 keep the session that
their `Unique` validator got when the view was built.

There a name stays "already taken" though the row that had it is long gone.
"""

from flask import Flask
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db = SQLAlchemy()


class Base(DeclarativeBase):
    pass


class Label(Base):
    __tablename__ = "label"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)


class LabelView(ModelView):
    column_searchable_list = ("name",)
    column_editable_list = ("name",)


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "labels"
    app.config["SQLALCHEMY_ENGINES"] = {"default": URL}
    db.init_app(app)
    with app.app_context():
        Base.metadata.create_all(db.engine)
        names = "amber", "blue", "cyan", "dun", "ebony", "fawn"
        db.session.add_all(Label(name=name) for name in names)
        db.session.commit()

    admin = Admin(app, name="Labels")
    with app.app_context():
        admin.add_view(LabelView(Label, db))
    return app
