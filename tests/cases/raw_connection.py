"""chaos-genius/chaos_genius issue 10: "connections aren't being closed properly": a dashboard asks the
engine for a connection, for pandas, and never closes it; the pool is empty after some visits.

db.engine.connect() and db.session are two things; only the session is ended by the teardown.
"""

import os
import tempfile

import pandas
from flask import Flask
from flask import jsonify
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

from flask_admin import Admin
from flask_admin import AdminIndexView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()
kept = []


class Kpi(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))
    value = db.Column(db.Integer)


def read():
    connection = db.engine.connect()  # reported
    kept.append(
        connection
    )  # as a frame, a result or a cursor that somebody has keeps it
    return pandas.read_sql(text("select name, value from kpi"), connection)


def read_and_close():
    with db.engine.connect() as connection:
        return pandas.read_sql(text("select name, value from kpi"), connection)


class Dashboard(AdminIndexView):
    frame = staticmethod(read)

    @expose("/")
    def index(self):
        return self.frame().to_html()


class ClosingDashboard(Dashboard):
    frame = staticmethod(read_and_close)


def create_app(board):
    kept.clear()
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "k.db"),
        SQLALCHEMY_ENGINE_OPTIONS={"pool_timeout": 1},
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all([Kpi(name="sales", value=3), Kpi(name="costs", value=2)])
        db.session.commit()

    @app.get("/kpis")
    def kpis():
        return jsonify(board.frame().to_dict("records"))

    Admin(app, index_view=board()).add_view(ModelView(Kpi, db.session))
    return app


def broken():
    return create_app(Dashboard)


def fixed():
    return create_app(ClosingDashboard)


def visit(app):
    client = app.test_client()
    for _ in range(3):
        client.get("/kpis")
