"""openculinary/backend issue 65: a generator that is streamed asks the database, and says "Working
outside of application context" where the first part is to be sent."""

import os
import tempfile

from flask import Flask
from flask import Response
from flask import stream_with_context
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Product(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))


def create_app(wrap):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "p.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all([Product(name="rice"), Product(name="beans")])
        db.session.commit()

    def lines():
        for product in Product.query.order_by(Product.id):
            yield f"{product.name}\n"

    @app.get("/products")
    def products():
        return Response(wrap(lines()))

    Admin(app).add_view(ModelView(Product, db.session))
    return app


def broken():
    return create_app(lambda generator: generator)


def fixed():
    return create_app(stream_with_context)


def visit(app):
    client = app.test_client()
    for _ in range(2):
        try:
            client.get("/products").get_data()
        except RuntimeError as error:
            print("the client got", type(error).__name__)
