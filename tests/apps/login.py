"""Views that need a login, and a cache that keeps the row of the user.

A user who lost a role, or was locked out, keeps it until the app is restarted.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask import redirect
from flask import request
from flask import session
from flask import url_for
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin import AdminIndexView
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()
USERS: dict[int, t.Any] = {}


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), unique=True, nullable=False)
    active = db.Column(db.Boolean, default=True)


def load_user(number: int) -> t.Any:
    return db.session.get(User, number)


def load_user_once(number: int) -> t.Any:
    if number not in USERS:
        USERS[number] = load_user(number)
    return USERS[number]


class Protected:
    load: t.Any = staticmethod(load_user)

    def is_accessible(self) -> bool:
        user = self.load(session["user"]) if "user" in session else None
        return user is not None and bool(user.active)

    def inaccessible_callback(self, name: str, **kwargs: t.Any) -> t.Any:
        return redirect(url_for("login", next=request.url))


class IndexView(Protected, AdminIndexView):
    pass


class UserView(Protected, ModelView):
    column_searchable_list = ("name",)
    column_filters = ("active",)


class CachedUserView(UserView):
    load = staticmethod(load_user_once)


def create_app(broken: bool) -> Flask:
    USERS.clear()
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "users"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)

    @app.route("/login", methods=["GET", "POST"])
    def login() -> t.Any:
        if request.method == "GET":
            return "<form method=post><input name=name></form>"
        found = db.session.query(User.id).filter_by(name=request.form["name"])
        session["user"] = found.scalar()
        return redirect(url_for("admin.index"))

    with app.app_context():
        db.create_all()
        if db.session.query(User).count() == 0:
            names = "root", "alice", "bob", "carol", "dave", "eve"
            db.session.add_all(User(name=name) for name in names)
            db.session.commit()

    view = CachedUserView if broken else UserView
    admin = Admin(app, name="Users", index_view=IndexView())
    admin.add_view(view(User, db.session, endpoint="users"))
    return app


def client(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.post("/login", data={"name": "root"})
    return client


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
