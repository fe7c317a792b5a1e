"""--faults on SQLAlchemy 1.4: `engine.execute(…)` gives its connection back by itself, also
when the statement fails. The guard fails it from `before_cursor_execute`, which is outside
of what SQLAlchemy tidies up, and calls what it did a leak; the line it names is another.

As metabrainz.org's AccessLog.get_hourly_usage (access_log.py:101): 4 findings. At the end
of this file is the proof: a statement that fails in the database returns the connection.
Needs SQLAlchemy 1.4, Flask-Admin 1.6.1, Flask-SQLAlchemy 3.0. Run with --faults.
"""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView

path = "sqlite:///" + os.path.join(tempfile.mkdtemp(), "a.db")
engine = create_engine(path, poolclass=NullPool)
app = Flask(__name__)
app.config.update(SECRET_KEY="x", SQLALCHEMY_DATABASE_URI=path)
db = SQLAlchemy(app)
try:  # Flask-Admin wants it set up where it is installed
    from flask_babel import Babel

    Babel(app)
except ImportError:
    pass


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Stats(BaseView):
    @expose("/")
    def index(self):
        return str([row[0] for row in engine.execute("SELECT count(*) FROM user")])


with app.app_context():
    db.create_all()
admin = Admin(app)
admin.add_view(ModelView(User, db.session))
admin.add_view(Stats())

if __name__ == "__main__":
    from sqlalchemy import event

    for name in "checkout", "checkin":
        event.listen(engine, name, lambda *_, name=name: print(name))
    try:
        engine.execute("SELECT nonsense")
    except Exception as error:
        print(type(error).__name__, "and the connection is back")
