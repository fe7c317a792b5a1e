"""augurlabs/augur 3361, freezingsaddles/freezing-web 47: a statement fails, the except logs it and goes
on; from then on every page, the error page included, says PendingRollbackError.

The session is one for the process, in a module.
"""

import os
import tempfile

from flask import Flask
from flask import render_template_string
from flask import request
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

engine = create_engine("sqlite:///" + os.path.join(tempfile.mkdtemp(), "r.db"))
Base = declarative_base()


class Repo(Base):
    __tablename__ = "repo"
    id = Column(Integer, primary_key=True)
    url = Column(String(100), unique=True)


def create_app(session, roll_back):
    app = Flask(__name__)
    app.secret_key = "x"
    Base.metadata.create_all(engine)
    with sessionmaker(engine)() as seed:
        if not seed.query(Repo).count():
            seed.add(Repo(url="a"))
            seed.commit()

    @app.context_processor
    def counts():
        return {"number": session.query(Repo).count()}  # reported

    @app.errorhandler(500)
    def failed(error):
        return render_template_string("Sorry. We know {{ number }} repositories."), 500

    @app.get("/")
    def index():
        return render_template_string("{{ number }} repositories")

    @app.post("/repos")
    def add():
        session.add(Repo(url=request.form["url"]))
        try:
            session.commit()
        except SQLAlchemyError as error:
            app.logger.info("not added: %s", error)
            if roll_back:
                session.rollback()
        return render_template_string("{{ number }} repositories")

    Admin(app).add_view(ModelView(Repo, session))
    return app


def broken():
    return create_app(sessionmaker(engine)(), False)


def scoped():
    """Half fixed: a session for each request, but the failed one still goes on."""
    session = scoped_session(sessionmaker(engine))
    app = create_app(session, False)
    app.teardown_appcontext(lambda error: session.remove())
    return app


def fixed():
    session = scoped_session(sessionmaker(engine))
    app = create_app(session, True)
    app.teardown_appcontext(lambda error: session.remove())
    return app


def visit(app):
    client = app.test_client()
    client.get("/")
    client.post("/repos", data={"url": "a"})
    client.get("/")


def visit_and_read(app):
    client = app.test_client()
    client.get("/").get_data()
    client.post("/repos", data={"url": "a"}).get_data()
    client.get("/").get_data()
