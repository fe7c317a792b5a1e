"""--write tries nothing where the admin has a logout page, and says "request-scoped".

The plain pass opens every page without arguments, the last of them `/admin/logout/`: all
three clients are logged out when the writing begins. As in Flask-Admin's own example
auth_flask_login, in UmaSupporter/UmaSupporter.Server, and in all that copied them. There
is a real leak here that --write would see; take logout() away and it does:

    python -m session_scoping --app logout_page --client logout_page:login --write --yes
"""

import os
import tempfile

from flask import Flask
from flask import redirect
from flask import session
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from flask_admin import Admin
from flask_admin import AdminIndexView
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
    name = db.Column(db.String(20))


class Index(AdminIndexView):
    @expose("/logout/")
    def logout(self):
        session.clear()
        return redirect("/admin/")


class UserView(ModelView):
    def is_accessible(self):
        return "user" in session

    def on_model_change(self, form, model, is_created):
        Session(db.engine).query(User).all()  # beside the handle, and never closed


with app.app_context():
    db.create_all()
Admin(app, index_view=Index()).add_view(UserView(User, db))


def login(app):
    client = app.test_client()
    with client.session_transaction() as kept:
        kept["user"] = "admin"
    return client
