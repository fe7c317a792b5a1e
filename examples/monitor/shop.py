"""A small shop with a monitor, and a leak that can be switched on.

    LEAK=1 flask --app examples/monitor/shop.py run

Open http://127.0.0.1:5000/report some times, then the page *Sessions* of the admin.
"""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import Session

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping import Monitor


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)
monitor = Monitor()
kept: list[Session] = []  # the leak


class Product(db.Model):  # type: ignore[name-defined, misc]
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[int]


def create_app() -> Flask:
    app = Flask(__name__)
    folder = tempfile.mkdtemp()
    app.config.update(
        SECRET_KEY="shop",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/shop.db",
        SESSION_SCOPING_SOCKET=f"{tempfile.gettempdir()}/shop-holding",
        SESSION_SCOPING_HELD_AFTER=30,
    )
    db.init_app(app)
    monitor.init_app(app)
    with app.app_context():
        db.create_all()
        for number, name in enumerate(("ink", "paper", "pen"), 1):
            db.session.add(Product(name=name, price=number))
        db.session.commit()
    admin = Admin(app, name="Shop")
    admin.add_view(ModelView(Product, db, name="Products"))
    admin.add_view(monitor.view())

    @app.get("/")
    def index() -> str:
        return ", ".join(db.session.scalars(select(Product.name)))

    @app.get("/report")
    def report() -> str:
        session: Session = db.session()
        if os.environ.get("LEAK"):
            session = Session(db.engine)
            kept.append(session)
        return f"in stock for {session.scalar(select(func.sum(Product.price)))}"

    return app
