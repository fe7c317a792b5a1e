"""flask-admin issues 1807 and 526: the options of a filter are read when the view is added, once.

A new site is not in the filter until the app is started again; and with no app context at
start: "Working outside of application context".
"""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.filters import BaseSQLAFilter

db = SQLAlchemy()


class Site(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)


class Room(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    number = db.Column(db.String(10))
    site_id = db.Column(db.ForeignKey("site.id"))
    site = db.relationship(Site)


class SiteFilter(BaseSQLAFilter):
    def get_options(self, view):
        return [
            (str(one.id), one.name)
            for one in Site.query.order_by(Site.name)  # reported
        ]

    def apply(self, query, value, alias=None):
        return query.filter(Room.site_id == value)

    def operation(self):
        return "is"


class LiveSiteFilter(SiteFilter):
    """Asks when the page is made, and gives nothing at the start."""

    def get_options(self, view):
        from flask import has_request_context

        return super().get_options(view) if has_request_context() else [("", "")]


def create_app(kind):
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "x"
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///" + os.path.join(
        tempfile.mkdtemp(), "r.db"
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all(
            [Site(name="North"), Site(name="South"), Room(number="1", site_id=1)]
        )
        db.session.commit()

    class RoomView(ModelView):
        column_filters = [kind(Room.site_id, "Site")]

    class LiveRoomView(RoomView):
        @expose("/")
        def index_view(self):
            self._refresh_filters_cache()
            return super().index_view()

    view = LiveRoomView if kind is LiveSiteFilter else RoomView
    with app.app_context():
        Admin(app).add_view(view(Room, db.session))
    return app


def broken():
    return create_app(SiteFilter)


def fixed():
    return create_app(LiveSiteFilter)
