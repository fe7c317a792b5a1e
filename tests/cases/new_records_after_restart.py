"""flask-admin issue 1932: records that are made after the server has started are not in the admin
until it is restarted. An existing database, mapped by automap, one Session(engine) for all views."""

import os
import tempfile

from flask import Flask
from sqlalchemy import create_engine
from sqlalchemy import text
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

engine = create_engine("sqlite:///" + os.path.join(tempfile.mkdtemp(), "old.db"))
with engine.begin() as connection:
    connection.execute(
        text("create table truck (id integer primary key, plate varchar(20))")
    )
    connection.execute(
        text(
            "create table driver (id integer primary key, name varchar(20), "
            "truck_id integer references truck(id))"
        )
    )
    connection.execute(text("insert into truck (plate) values ('AB 1'), ('CD 2')"))
    connection.execute(text("insert into driver (name, truck_id) values ('Kim', 1)"))

Base = automap_base()
Base.prepare(autoload_with=engine)
session = Session(engine)


def broken():
    app = Flask(__name__)
    app.secret_key = "x"
    admin = Admin(app, name="Fleet")
    for table in Base.classes:
        admin.add_view(ModelView(table, session))
    return app


def fixed():
    app = Flask(__name__)
    app.secret_key = "x"
    handle = scoped_session(sessionmaker(engine))

    @app.teardown_appcontext
    def remove(error):
        handle.remove()

    admin = Admin(app, name="Fleet")
    for table in Base.classes:
        admin.add_view(ModelView(table, handle))
    session.close()
    return app
