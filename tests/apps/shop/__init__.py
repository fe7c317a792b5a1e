"""A package with a blueprint, models and extensions in separate modules.

A service is built with a session of startup: the page that uses it shows the stock
of that moment.
"""

from flask import Flask

from tests.apps.engines import URL
from tests.apps.shop.admin import init_admin
from tests.apps.shop.blueprint import storefront
from tests.apps.shop.extensions import db
from tests.apps.shop.models import seed
from tests.apps.shop.services import catalogue


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "shop"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    app.register_blueprint(storefront)
    with app.app_context():
        db.create_all()
        seed()

    with app.app_context():
        catalogue.session = db.session() if broken else db.session  # broken here
    init_admin(app)
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
