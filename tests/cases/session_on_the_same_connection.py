"""A second session on the *connection of the first*: one transaction, nothing of its own.

As SQLAlchemy-Continuum does for its versions (unit_of_work.py:66), which jshwi/jss and
Invenio use. It sees all that the request has changed, is committed and rolled back with
it, and holds no connection: there is nothing to accuse. Run with --write --yes.
"""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.orm import Session

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

app = Flask(__name__)
app.config.update(
    SECRET_KEY="x",
    SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "a.db"),
)
db = SQLAlchemy(app)


class Post(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(20))


class Version(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    what = db.Column(db.String(20))


@event.listens_for(db.session, "before_flush")
def keep_a_version(session, context, instances):
    if any(isinstance(one, Post) for one in session.new | session.dirty):
        versions = Session(bind=session.connection())
        versions.add(Version(what="a post"))
        versions.flush()


with app.app_context():
    db.create_all()
Admin(app).add_view(ModelView(Post, db))
