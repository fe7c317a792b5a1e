"""A class attribute keeps the session that the first request has opened.

Both admins of the app share it, so that an edit in one of them is rolled back by an
error in the other.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin import AdminIndexView
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Room(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)
    beds = db.Column(db.Integer, default=1)


class RoomView(ModelView):
    column_searchable_list = ("name",)
    can_view_details = True

    def get_one(self, id: t.Any) -> t.Any:
        return db.session.get(Room, int(id))


class FastRoomView(RoomView):
    reader: t.Any = None

    def get_query(self) -> t.Any:
        cls = type(self)
        if cls.reader is None:
            cls.reader = db.session()  # broken here
        return cls.reader.query(Room)


def create_app(broken: bool) -> Flask:
    FastRoomView.reader = None
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "rooms"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        names = "Attic", "Blue", "Corner", "Double", "East", "Family"
        db.session.add_all(Room(name=name, beds=len(name)) for name in names)
        db.session.commit()

    view = FastRoomView if broken else RoomView
    desk = Admin(app, name="Desk")
    desk.add_view(view(Room, db.session, endpoint="desk_room"))
    kitchen = Admin(
        app,
        name="Kitchen",
        index_view=AdminIndexView(url="/kitchen", endpoint="kitchen"),
        endpoint="kitchen",
        url="/kitchen",
    )
    kitchen.add_view(
        view(Room, db.session, endpoint="kitchen_room", url="/kitchen/room")
    )
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
