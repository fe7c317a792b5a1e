"""One line leaks, beneath all views: it was reported once for each view, word for word.

As the raw session that celerycontrib.sqlalchemyscheduler's views share (3 findings), and
the 19 of pyvlad/quizzz. Here one `load_user` gives one finding for each of seven views.

    python -m session_scoping --app one_line_many_findings
"""

import os
import tempfile

from flask import Flask
from flask import g
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
admin = Admin(app)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)


@app.before_request
def load_user():
    g.user = Session(db.engine).get(User, 1)  # reported


with app.app_context():
    db.create_all()
    db.session.add(User(id=1))
    db.session.commit()
for number in range(6):
    admin.add_view(ModelView(User, db, endpoint=f"user{number}"))
