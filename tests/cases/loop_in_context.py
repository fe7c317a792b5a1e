"""flask-sqlalchemy issues 628 and 499: a loop beside the API reads a table every few seconds, and sees
what was there when it began, until the app is restarted.

The loop runs in one app context for its whole life, so that it has one session, in one
transaction (REPEATABLE READ), with one identity map.
"""

import os
import tempfile
import threading

from flask import Flask
from flask import jsonify
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Job(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    state = db.Column(db.String(20), default="new")


class Worker(threading.Thread):
    def __init__(self, app):
        super().__init__(daemon=True)
        self.app, self.seen, self.stopping = app, [], threading.Event()
        self.turns = threading.Semaphore(0)


class StaleWorker(Worker):
    def run(self):
        with self.app.app_context():
            while not self.stopping.wait(0.05):
                self.seen = [
                    job.state
                    for job in Job.query.order_by(Job.id)  # reported
                ]
                self.turns.release()


class FreshWorker(Worker):
    def run(self):
        while not self.stopping.wait(0.05):
            with self.app.app_context():
                self.seen = [job.state for job in Job.query.order_by(Job.id)]
            self.turns.release()


def create_app(kind):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "j.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all([Job(), Job()])
        db.session.commit()
    app.worker = kind(app)
    app.worker.start()

    @app.post("/jobs/<int:number>/<state>")
    def change(number, state):
        db.session.get(Job, number).state = state
        db.session.commit()
        return jsonify(state=state)

    @app.get("/worker")
    def worker():
        return jsonify(app.worker.seen)

    Admin(app).add_view(ModelView(Job, db.session))
    return app


def broken():
    return create_app(StaleWorker)


def fixed():
    return create_app(FreshWorker)


def visit(app):
    client = app.test_client()
    for _ in range(2):
        app.worker.turns.acquire()
    client.post("/jobs/1/done")
    for _ in range(3):
        app.worker.turns.acquire()
    client.get("/worker")
