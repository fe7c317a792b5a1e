"""flask-admin issue 1593: after an edit, refreshing the list shows the old value, at random.

As reported: Flask-SQLAlchemy is installed, but the models are plain declarative ones in a module
of their own with a scoped_session; two gunicorn workers; expire_all() and remove() in
after_model_change do not help, as only the worker that has saved is cleaned.
"""

import os
import tempfile

from flask import Flask
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

engine = create_engine("sqlite:///" + os.path.join(tempfile.mkdtemp(), "shop.db"))
storage = scoped_session(sessionmaker(bind=engine))
Base = declarative_base()


class Listing(Base):
    __tablename__ = "listing"
    id = Column(Integer, primary_key=True)
    city = Column(String(40), nullable=False)
    rent = Column(Integer)

    def __str__(self):
        return self.city


class BaseView(ModelView):
    column_searchable_list = ["city"]
    can_view_details = True

    def after_model_change(self, form, model, is_created):
        self.session.expire_all()
        self.session.remove()


class CleanView(ModelView):
    column_searchable_list = ["city"]
    can_view_details = True


def create_app(view):
    app = Flask(__name__)
    app.secret_key = "x"
    Base.metadata.create_all(engine)
    with sessionmaker(engine)() as seed:
        if not seed.query(Listing).count():
            seed.add_all(
                Listing(city=c, rent=len(c)) for c in ("Turin", "Rome", "Pisa")
            )
            seed.commit()
    admin = Admin(app, name="Rents")
    admin.add_view(view(Listing, storage))
    return app


def broken():
    return create_app(BaseView)


def fixed():
    app = create_app(CleanView)

    @app.teardown_appcontext
    def close_storage(error):
        storage.remove()

    return app
