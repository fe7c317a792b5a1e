"""The verdict is "broken: fresh", the table says `holds` in every cell.

A session is opened while the app is built, and kept. The finding is about "outside of
the admin", a row that the table has only when requests were made there. As in
a public service on Flask-Admin 2.2.0 (Unique validator).
"""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

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


class UserView(ModelView):
    kept = None


with app.app_context():
    db.create_all()
    UserView.kept = Session(db.engine)  # reported
    UserView.kept.query(User).all()
Admin(app).add_view(UserView(User, db))
