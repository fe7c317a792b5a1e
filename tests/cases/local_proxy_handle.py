"""A sound handle that is a werkzeug LocalProxy: the guard calls it a raw session.

As in a public quiz app with 19 views. Each request has a session of its own, removed
when it is over: there is nothing to accuse.
"""

import os
import tempfile

from flask import Flask
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker
from werkzeug.local import LocalProxy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

engine = create_engine("sqlite:///" + os.path.join(tempfile.mkdtemp(), "a.db"))
Session = scoped_session(sessionmaker(bind=engine))
Base = declarative_base()


class User(Base):
    __tablename__ = "user"
    id = Column(Integer, primary_key=True)
    name = Column(String(20))


class Group(Base):
    __tablename__ = "group"
    id = Column(Integer, primary_key=True)
    name = Column(String(20))


Base.metadata.create_all(engine)
app = Flask(__name__)
app.secret_key = "x"
db_session = LocalProxy(lambda: Session())  # asked anew each time it is used


@app.teardown_appcontext
def remove(error):
    Session.remove()


admin = Admin(app)
admin.add_view(ModelView(User, db_session))
admin.add_view(ModelView(Group, db_session))
