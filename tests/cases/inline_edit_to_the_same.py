"""--write sets a cell to what it is already, and calls that a broken law.

A column takes few values (a time zone, a currency, a country …): the create form says so,
the guard puts in its one known answer, "UTC", and later edits the cell inline to "UTC"
again. "answers 200, but zone is as it was" is then held against the app as `recovers`,
although nothing had failed before the first time it happened.

As in Flask-Admin's own example sqla (User.timezone, a TimezoneType of SQLAlchemy-Utils).
Two cells are needed, for "inline edit" is one operation whatever the column, and a type
whose values are objects, so that the UPDATE is sent. Run with --write --yes.
"""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String
from sqlalchemy import TypeDecorator
from wtforms import StringField
from wtforms.validators import AnyOf

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

app = Flask(__name__)
app.config.update(
    SECRET_KEY="x",
    SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "a.db"),
)
db = SQLAlchemy(app)


class Name:
    def __init__(self, text):
        self.text = str(text)

    def __str__(self):
        return self.text


class Zone(TypeDecorator):
    impl = String(20)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return None if value is None else str(value)

    def process_result_value(self, value, dialect):
        return None if value is None else Name(value)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(20))
    zone = db.Column(Zone, nullable=False)


class UserView(ModelView):
    column_editable_list = ["name", "zone"]
    form_overrides = {"zone": StringField}
    form_args = {
        "zone": {"validators": [AnyOf(["UTC", "CET"], "Not a valid time zone.")]}
    }


with app.app_context():
    db.create_all()
Admin(app).add_view(UserView(User, db))
