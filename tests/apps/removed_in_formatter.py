"""A column formatter "cleans up", and removes the session while the page is made.

The rows of the page are detached: the first column that loads lazily ends in a 500.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Team(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)


class Match(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    team_id = db.Column(db.Integer, db.ForeignKey("team.id"))


def count_matches(view: t.Any, context: t.Any, model: t.Any, name: str) -> str:
    return str(db.session.query(Match).filter_by(team_id=model.id).count())


def count_and_remove(view: t.Any, context: t.Any, model: t.Any, name: str) -> str:
    matches = db.session.query(Match).filter_by(team_id=model.id)
    number = matches.count()  # broken here
    db.session.remove()
    return str(number)


class TeamView(ModelView):
    column_list: t.Any = ("name", "matches")
    column_searchable_list = ("name",)
    column_formatters: t.Any = {"matches": count_matches}


class TidyTeamView(TeamView):
    column_formatters = {"matches": count_and_remove}


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "teams"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        teams = [Team(name=name) for name in ("Ants", "Bees", "Cats", "Dogs", "Eels")]
        db.session.add_all(teams)
        db.session.flush()  # a match refers to its team by the number that it gets here
        db.session.add_all(Match(team_id=team.id) for team in teams)
        db.session.commit()

    view = TidyTeamView if broken else TeamView
    admin = Admin(app, name="Teams")
    admin.add_view(view(Team, db.session))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
