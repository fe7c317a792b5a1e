"""Every list and form answers 500, only an ajax look-up works: exit status 0.

As in Flask-Admin's example sqla_custom_inline_forms when Flask-Babel is installed but not
set up. "sessions are request-scoped, in 0 of 2 views" is green for a CI job.
"""

import os
import tempfile

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


class Author(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(20))


class Book(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    author_id = db.Column(db.ForeignKey("author.id"))
    author = db.relationship(Author)


class BookView(ModelView):
    form_ajax_refs = {"author": {"fields": ["name"]}}

    def render(self, template, **kwargs):
        raise RuntimeError("a template that is broken")


with app.app_context():
    db.create_all()
Admin(app).add_view(BookView(Book, db))
