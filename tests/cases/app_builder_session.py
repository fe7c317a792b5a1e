"""airflow issue 57470 (also 59349, 61518): "Can't reconnect until invalid transaction is rolled back".

The object that carries the app's security manager has called its scoped_session at start, and
keeps the Session; Flask-Login's user_loader reads through it in each request. When the database
ends an idle transaction, every page fails, until restart.
"""

import os
import tempfile

from flask import Flask
from flask import redirect
from flask_login import current_user
from flask_login import login_user
from flask_login import LoginManager
from flask_login import UserMixin
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy import select
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

engine = create_engine(
    os.environ.get("DATABASE_URL")
    or "sqlite:///" + os.path.join(tempfile.mkdtemp(), "a.db")
)
Session = scoped_session(sessionmaker(bind=engine))
Base = declarative_base()


class Account(Base, UserMixin):
    __tablename__ = "account"
    id = Column(Integer, primary_key=True)
    name = Column(String(40))


class SecurityManager:
    def __init__(self, builder):
        self.builder = builder

    def load_user(self, key):
        return self.builder.session.scalars(
            select(Account).where(Account.id == int(key))
        ).first()


class AppBuilder:
    def __init__(self, app, session):
        self.session = session
        self.sm = SecurityManager(self)
        app.appbuilder = self
        manager = LoginManager(app)
        manager.user_loader(self.sm.load_user)


class AccountView(ModelView):
    def is_accessible(self):
        return current_user.is_authenticated


def create_app(session):
    app = Flask(__name__)
    app.secret_key = "x"
    Base.metadata.create_all(engine)
    with sessionmaker(engine)() as seed:
        if not seed.query(Account).count():
            seed.add_all([Account(name="root"), Account(name="guest")])
            seed.commit()
    AppBuilder(app, session)

    @app.teardown_appcontext
    def shutdown(error):
        Session.remove()

    @app.get("/login/<int:number>")
    def login(number):
        with sessionmaker(engine)() as own:
            login_user(own.get(Account, number))
        return redirect("/home")

    @app.get("/home")
    def home():
        return f"hello {current_user.name}"

    Admin(app).add_view(AccountView(Account, Session))
    return app


def login(app):
    client = app.test_client()
    client.get("/login/1")
    return client


def broken():
    return create_app(Session())


def fixed():
    return create_app(Session)


def client(app):
    client = app.test_client()
    client.get("/login/1")
    return client


def visit(app):
    user = client(app)
    user.get("/home")
    user.get("/home")
