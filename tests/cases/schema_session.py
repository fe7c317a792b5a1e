"""marshmallow-sqlalchemy issue 11 and its kin: the schema wants a session when its class is made, so it is
given db.session() of that moment; whatever it loads belongs to that session: stale rows, and "already
attached to session" when a view adds it."""

import os
import tempfile

from flask import Flask
from flask import jsonify
from flask import request
from flask_sqlalchemy import SQLAlchemy
from marshmallow_sqlalchemy import SQLAlchemyAutoSchema

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Book(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(40))


def create_app(captured):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "b.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add(Book(title="Emma"))
        db.session.commit()

        class BookSchema(SQLAlchemyAutoSchema):
            class Meta:
                model = Book
                load_instance = True
                sqla_session = db.session() if captured else db.session

    schema = BookSchema()

    @app.put("/books/<int:number>")
    def change(number):
        book = schema.load({"id": number, **request.get_json()})
        db.session.add(book)
        db.session.commit()
        return jsonify(schema.dump(book))

    @app.get("/books/<int:number>")
    def show(number):
        return jsonify(schema.dump(db.session.get(Book, number)))

    Admin(app).add_view(ModelView(Book, db.session))
    return app


def broken():
    return create_app(True)


def fixed():
    return create_app(False)


def visit(app):
    client = app.test_client()
    client.get("/books/1")
    client.put("/books/1", json={"title": "Persuasion"})
    client.get("/books/1")


def visit_and_read(app):
    client = app.test_client()
    client.get("/books/1").get_data()
    client.put("/books/1", json={"title": "Persuasion"}).get_data()
    client.get("/books/1").get_data()
