"""The `query_factory` of a relationship's field closes over a session.

"Object is already attached to session": what the form offers cannot be saved.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Author(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)

    def __str__(self) -> str:
        return str(self.name)


class Book(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(40), nullable=False)
    author_id = db.Column(db.Integer, db.ForeignKey("author.id"))
    author = db.relationship(Author, backref="books")


def book_view(session: t.Any) -> ModelView:
    class BookView(ModelView):
        column_list = ("title", "author")
        column_searchable_list = ("title", "author.name")
        form_args: t.Any = {
            "author": {"query_factory": lambda: session.query(Author).order_by("name")}
        }

    return BookView(Book, db.session)


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "books"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        for name in "Lem", "Butler", "Dick", "Atwood", "Borges":
            book = Book(title=f"Collected {name}", author=Author(name=name))
            db.session.add(book)
        db.session.commit()

    admin = Admin(app, name="Books")
    with app.app_context():
        session = db.session() if broken else db.session  # broken here
        admin.add_view(book_view(session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
