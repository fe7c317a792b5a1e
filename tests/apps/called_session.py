"""The base class of all the views calls `db.session`, and keeps what it gets.

It is the session of the start of the app: lists go on showing what was loaded once.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Member(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)
    city = db.Column(db.String(40))


class AdminView(ModelView):
    can_view_details = True
    can_export = True
    page_size = 5

    def __init__(self, model: t.Any, **options: t.Any) -> None:
        super().__init__(model, db.session, **options)


class MemberView(AdminView):
    column_searchable_list = ("name", "city")


class CallingMemberView(MemberView):
    def __init__(self, model: t.Any, **options: t.Any) -> None:
        super().__init__(model, **options)
        self.session = db.session()  # broken here


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "members"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        for name, city in zip("Ada Bea Cid Dan Eve Fay".split(), "RSTUVW", strict=True):
            db.session.add(Member(name=name, city=f"{city}ome"))
        db.session.commit()

    admin = Admin(app, name="Members")
    with app.app_context():
        view = CallingMemberView if broken else MemberView
        admin.add_view(view(Member, category="People"))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
