"""CCI-MOC/hil 454, 391 and Scifabric/pybossa 188: before_request makes a session, after_request closes it;
after a failed request it is not closed (a before_request that aborts, a debug server that passes the
exception on), and connections run out."""

import os
import tempfile

from flask import Flask
from flask import g
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import sessionmaker
from werkzeug.local import LocalProxy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

engine = create_engine("sqlite:///" + os.path.join(tempfile.mkdtemp(), "n.db"))
Session = sessionmaker(bind=engine)
Base = declarative_base()
session = LocalProxy(lambda: g.db)


class Node(Base):
    __tablename__ = "node"
    id = Column(Integer, primary_key=True)
    label = Column(String(40))


def create_app():
    app = Flask(__name__)
    app.secret_key = "x"
    app.testing = True
    Base.metadata.create_all(engine)
    with Session() as seed:
        if not seed.query(Node).count():
            seed.add_all([Node(label="one"), Node(label="two")])
            seed.commit()

    @app.before_request
    def connect():
        g.db = Session()  # reported

    @app.get("/node/<int:number>")
    def node(number):
        found = session.get(Node, number)
        return found.label.upper()  # an AttributeError where there is none

    with app.app_context():
        g.db = Session()
        Admin(app).add_view(ModelView(Node, session))
        g.db.close()
    return app


def broken():
    app = create_app()

    @app.after_request
    def close(response):
        g.db.close()
        return response

    return app


def fixed():
    app = create_app()

    @app.teardown_request
    def close(error):
        if "db" in g:
            g.db.close()

    return app


def visit(app):
    client = app.test_client()
    client.get("/node/1")
    try:
        client.get("/node/9")
    except AttributeError:
        pass
    client.get("/node/2")
