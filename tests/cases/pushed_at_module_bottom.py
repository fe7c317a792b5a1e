"""RotorHazard pull request 861, and the usual answer to "Working outside of application context": the
module ends with app.app_context().push(). File handles build up; on a server that answers on the
thread that has imported the app every request has that one context, and one session."""

import os
import tempfile
import threading

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Pilot(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    callsign = db.Column(db.String(40))


def create_app(push):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "p.db"),
    )
    db.init_app(app)
    if push:
        app.app_context().push()  # reported
        db.create_all()
        db.session.add(Pilot(callsign="ace"))
        db.session.commit()
    else:
        with app.app_context():
            db.create_all()
            db.session.add(Pilot(callsign="ace"))
            db.session.commit()

    @app.get("/pilots")
    def pilots():
        return str(Pilot.query.count())

    @app.get("/heat")
    def heat():
        done = []

        def count():
            if push:
                app.app_context().push()
                done.append(Pilot.query.count())
            else:
                with app.app_context():
                    done.append(Pilot.query.count())

        worker = threading.Thread(target=count)
        worker.start()
        worker.join()
        return str(done)

    Admin(app).add_view(ModelView(Pilot, db.session))
    return app


def broken():
    return create_app(True)


def fixed():
    return create_app(False)


def visit(app):
    client = app.test_client()
    client.get("/pilots")
    client.get("/pilots")


def visit_thread(app):
    app.test_client().get("/heat")
