"""A page streams rows, and fetches them while the answer is sent.

With Flask 3.1.2 or newer the session is removed by then: the stream opens it again, and
never closes it.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask import Response
from flask import stream_with_context
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Reading(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    place = db.Column(db.String(40), nullable=False)
    degrees = db.Column(db.Integer)


class DownloadView(BaseView):
    def readings(self) -> t.Any:
        return db.session.query(Reading).all()

    @expose("/")
    def index(self) -> Response:
        readings = self.readings()

        def lines() -> t.Iterator[str]:
            for reading in readings:  # broken here
                yield f"{reading.place},{reading.degrees}\n"

        return Response(stream_with_context(lines()), mimetype="text/csv")


class LazyDownloadView(DownloadView):
    def readings(self) -> t.Any:
        return db.session.query(Reading)


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "readings"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        for place in "attic", "barn", "cellar", "den", "entry":
            db.session.add(Reading(place=place, degrees=3 * len(place)))
        db.session.commit()

    view = LazyDownloadView if broken else DownloadView
    admin = Admin(app, name="Readings")
    admin.add_view(ModelView(Reading, db.session))
    admin.add_view(view(name="Download", endpoint="download"))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
