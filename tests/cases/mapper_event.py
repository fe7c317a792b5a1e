"""apache/superset pull request 25031: sessions made in a mapper event, on its connection, are never closed;
"FAB is known to have session leakage issues" (superset 4666)."""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy import insert
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Person(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))


class Dashboard(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(40))


def copy_by_session(mapper, connection, target):
    session = sessionmaker(autoflush=False)(bind=connection)  # reported
    template = session.query(Dashboard).filter_by(id=1).first()
    session.add(Dashboard(title=f"{template.title} of {target.name}"))
    session.flush()


def copy_by_connection(mapper, connection, target):
    connection.execute(insert(Dashboard).values(title=f"copy of {target.name}"))


def create_app(copy):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "d.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all([Dashboard(title="start"), Person(name="ada")])
        db.session.commit()
    event.listen(Person, "after_insert", copy)
    admin = Admin(app)
    admin.add_view(ModelView(Person, db.session))
    admin.add_view(ModelView(Dashboard, db.session))
    return app


def broken():
    return create_app(copy_by_session)


def fixed():
    return create_app(copy_by_connection)


def visit(app):
    app.test_client().post("/admin/person/new/", data={"name": "bob"})
