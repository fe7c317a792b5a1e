"""a blog of 2016 and many after it ("SSL error: decryption failed or bad record mac", "lost synchronization
with server", occasional 502): the app asks the database while it is made, in uwsgi's master or under
gunicorn --preload; the workers that are forked then share that pooled connection.

The session of the start is closed well; what is left is its connection, in the pool.
"""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Role(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))


def create_app():
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI=os.environ.get("DATABASE_URL")
        or "sqlite:///" + os.path.join(tempfile.mkdtemp(), "r.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        if not Role.query.filter_by(name="admin").first():
            db.session.add(Role(name="admin"))
            db.session.commit()
    Admin(app).add_view(ModelView(Role, db.session))
    return app


def broken():
    return create_app()


def fixed():
    app = create_app()
    with app.app_context():
        db.engine.dispose()  # so that a worker that is forked now makes its own
    return app
