"""flask issue 5774's own advice (openagent 136 once more): a long answer is streamed through a session that
the generator makes and closes, as the request's is gone by then. `fixed` is healthy; `broken` forgets
to close it where the client leaves."""

import os
import tempfile

from flask import Flask
from flask import Response
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select
from sqlalchemy.orm import Session

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Reading(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    value = db.Column(db.Integer)


def create_app(close):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "r.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all(Reading(value=n) for n in range(5))
        db.session.commit()
        engine = db.engine

    def rows():
        session = Session(engine)  # reported
        for row in session.scalars(select(Reading).order_by(Reading.id)):
            yield f"{row.value}\n"
        session.close()

    def rows_closing():
        with Session(engine) as session:
            for row in session.scalars(select(Reading).order_by(Reading.id)):
                yield f"{row.value}\n"

    @app.get("/readings")
    def readings():
        total = Reading.query.count()  # the request's own session, for a header
        return Response(
            rows_closing() if close else rows(), headers={"X-Total": str(total)}
        )

    Admin(app).add_view(ModelView(Reading, db.session))
    return app


def broken():
    return create_app(False)


def fixed():
    return create_app(True)


def visit(app):
    client = app.test_client()
    client.get("/readings").get_data()
    answer = client.get("/readings")
    next(iter(answer.response))
    answer.close()
