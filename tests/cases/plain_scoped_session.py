"""--faults on SQLAlchemy's own scoped_session, with no Flask-SQLAlchemy anywhere: the fix
that is printed is one for Flask-SQLAlchemy.

As in UmaSupporter.Server and waxisien/skycrawler, the pattern of Flask's documentation.
"""

import os
import tempfile

from flask import Flask
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

engine = create_engine("sqlite:///" + os.path.join(tempfile.mkdtemp(), "a.db"))
db_session = scoped_session(sessionmaker(bind=engine))
Base = declarative_base()


class User(Base):
    __tablename__ = "user"
    id = Column(Integer, primary_key=True)


Base.metadata.create_all(engine)
app = Flask(__name__)
app.secret_key = "x"


@app.teardown_appcontext
def shutdown_session(exception=None):
    db_session.remove()


Admin(app).add_view(ModelView(User, db_session))
