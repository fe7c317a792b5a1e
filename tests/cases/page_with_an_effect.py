"""A plain run "writes nothing", but opens every page of a custom view that needs no
argument, four times: whatever the page does beside the database is done.

As metabrainz.org's /admin/supportersview/approve, /reject, /revoke-token (only a missing
argument stopped them), the DNS look-ups of its /admin/statsview/top-ips/.
"""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView

app = Flask(__name__)
app.config.update(
    SECRET_KEY="x",
    SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "a.db"),
)
db = SQLAlchemy(app)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Newsletter(BaseView):
    @expose("/")
    def index(self):
        return "<a href=send>send it</a>"

    @expose("/send")
    def send(self):
        print(f"*** mailed to {User.query.count()} people")
        return "sent"


with app.app_context():
    db.create_all()
admin = Admin(app)
admin.add_view(ModelView(User, db))
admin.add_view(Newsletter())
