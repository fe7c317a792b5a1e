"""flask-security-3.0 issue 795: the confirmation of an address says InvalidRequestError, "already attached
to session": the datastore has Flask's declarative db_session, the app's own code has db.session; both
are removed well, each has an engine of its own for the same database."""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

path = "sqlite:///" + os.path.join(tempfile.mkdtemp(), "u.db")
db = SQLAlchemy()
db_session = scoped_session(sessionmaker(bind=create_engine(path)))


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(80))
    confirmed = db.Column(db.Boolean, default=False)


class Datastore:
    def __init__(self, session):
        self.session = session

    def find(self, number):
        return self.session.get(User, number)  # reported

    def put(self, user):
        self.session.add(user)  # reported
        self.session.commit()


class UserView(ModelView):
    datastore = None
    column_formatters = {
        "email": lambda v, c, m, n: v.datastore.find(m.id).email.upper()
    }


def create_app(session):
    app = Flask(__name__)
    app.config.update(SECRET_KEY="x", SQLALCHEMY_DATABASE_URI=path)
    db.init_app(app)
    datastore = Datastore(session)
    with app.app_context():
        db.create_all()
        db.session.add(User(email="ada@example.org"))
        db.session.commit()

    @app.teardown_appcontext
    def shutdown_session(exception=None):
        db_session.remove()

    @app.post("/confirm/<int:number>")
    def confirm(number):
        user = db.get_or_404(User, number)
        user.confirmed = True
        datastore.put(user)
        return "confirmed"

    view = UserView(User, db.session)
    view.datastore = datastore
    Admin(app).add_view(view)
    return app


def broken():
    return create_app(db_session)


def same_engine():
    """The same app, but for one line: both sessions have one engine."""
    app = create_app(db_session)
    with app.app_context():
        db_session.configure(bind=db.engine)
    return app


def fixed():
    return create_app(db.session)


def visit(app):
    client = app.test_client()
    assert client.post("/confirm/1").status_code in (200, 500)
    client.post("/confirm/1")


def visit_and_read(app):
    client = app.test_client()
    client.post("/confirm/1").get_data()
    client.post("/confirm/1").get_data()
