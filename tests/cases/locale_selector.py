"""A true finding whose advice cannot be followed: run with --write --yes.

Flask-Admin reports an error with gettext() *before* it rolls back (create_model); the
locale selector then reads the logged-in user from the failed session: 500 instead of
"Integrity error". As in a public app with Flask-Babel. "your code" names
the line that first used the session, and "change: except SQLAlchemyError" has no place in
the app: the except is Flask-Admin's.
"""

import os
import tempfile

from flask import Flask
from flask_babel import Babel
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
    lang = db.Column(db.String(5))


class ApiKey(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(20), nullable=False)
    secret = db.Column(db.String(20), nullable=False)


class KeyView(ModelView):
    form_columns = ["name"]


def get_locale():  # as current_user.lang with Flask-Login
    return db.session.get(User, 1).lang  # reported


Babel(app, locale_selector=get_locale)
with app.app_context():
    db.create_all()
    db.session.add(User(lang="sv"))
    db.session.commit()
Admin(app).add_view(KeyView(ApiKey, db))
