"""CTFd pull requests 202 and 133: the page that confirms an address answers 500: the session is closed
before the line that writes a log with the row's name ("Instance is not bound to a Session")."""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()
log = []


class Team(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))
    verified = db.Column(db.Boolean, default=False)


class Solve(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    team_id = db.Column(db.ForeignKey("team.id"))
    team = db.relationship(Team)


class StatisticsView(BaseView):
    early = True

    @expose("/")
    def index(self):
        solves = Solve.query.all()
        if self.early:
            db.session.close()  # reported
        return ", ".join(one.team.name for one in solves)


class LateStatisticsView(StatisticsView):
    early = False


def create_app(early):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "c.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all([Team(name="red"), Team(name="blue"), Solve(team_id=1)])
        db.session.commit()

    @app.get("/confirm/<int:number>")
    def confirm(number):
        team = Team.query.filter_by(id=number).first_or_404()
        team.verified = True
        db.session.commit()
        if early:
            db.session.close()  # reported
        log.append(f"{team.name} is confirmed")
        if not early:
            db.session.close()
        return "confirmed"

    admin = Admin(app)
    admin.add_view(ModelView(Team, db.session))
    admin.add_view(
        (StatisticsView if early else LateStatisticsView)(endpoint="statistics")
    )
    return app


def broken():
    return create_app(True)


def fixed():
    return create_app(False)


def visit(app):
    app.test_client().get("/confirm/1")
    app.test_client().get("/confirm/2")


def visit_and_read(app):
    app.test_client().get("/confirm/1").get_data()
    app.test_client().get("/confirm/2").get_data()
