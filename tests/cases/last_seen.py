"""`last_seen` in before_request, as in the Flask Mega-Tutorial: no page can be read.

Sessions are sound here. As in many public apps: in every app
that was begun with that tutorial.
"""

import os
import tempfile
from datetime import datetime

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

app = Flask(__name__)
app.config.update(
    SECRET_KEY="x",
    SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "a.db"),
)
db = SQLAlchemy(app)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(20))
    last_seen = db.Column(db.DateTime)


with app.app_context():
    db.create_all()
    db.session.add(User(name="somebody"))
    db.session.commit()


@app.before_request
def seen():
    db.session.get(User, 1).last_seen = datetime.now()
    db.session.commit()


Admin(app).add_view(ModelView(User, db))
