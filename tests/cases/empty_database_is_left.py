"""No database yet: the guard says so, and leaves an empty file where it should be. An app
that builds its database when there is no file, as Flask-Admin's examples do, now never
does. (A school's template: its SQLite file, 0 bytes, after a plain run.)
"""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

PATH = os.path.join(tempfile.gettempdir(), "empty_database_is_left.db")
app = Flask(__name__)
app.config.update(SECRET_KEY="x", SQLALCHEMY_DATABASE_URI="sqlite:///" + PATH)
db = SQLAlchemy(app)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)


Admin(app).add_view(ModelView(User, db))
