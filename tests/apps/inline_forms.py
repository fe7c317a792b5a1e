"""A view keeps the row that is being edited, "for later", on itself.

Two people who edit at the same time get each other's row, as old as its request.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.ext.associationproxy import association_proxy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Person(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)
    phones = db.relationship("Phone", backref="person", cascade="all, delete-orphan")
    taggings = db.relationship(
        "Tagging", backref="person", cascade="all, delete-orphan"
    )
    tags: t.Any = association_proxy("taggings", "tag")


class Phone(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    number = db.Column(db.String(20), nullable=False)
    person_id = db.Column(db.Integer, db.ForeignKey("person.id"))

    def __str__(self) -> str:
        return str(self.number)


class Tagging(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    tag = db.Column(db.String(20), nullable=False)
    person_id = db.Column(db.Integer, db.ForeignKey("person.id"))


class PersonView(ModelView):
    column_list = ("name", "phones", "tags")
    column_searchable_list = ("name", "phones.number")
    form_columns = ("name", "phones")
    inline_models: t.Any = (Phone, (Tagging, {"form_columns": ("id", "tag")}))
    can_view_details = True


class RememberingPersonView(PersonView):
    current: t.Any = None

    def get_one(self, id: t.Any) -> t.Any:
        self.current = super().get_one(id)
        return self.current


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "people"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        for digit, name in enumerate(["Ines", "Jon", "Kira", "Lars", "Maja"]):
            person = Person(name=name, phones=[Phone(number=f"555 {digit}")])
            person.taggings.append(Tagging(tag="friend"))
            db.session.add(person)
        db.session.commit()

    view = RememberingPersonView if broken else PersonView
    admin = Admin(app, name="People")
    admin.add_view(view(Person, db.session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
