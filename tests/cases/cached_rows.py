"""KSP-SpaceDock pull requests 349 and 352: the results of common queries are cached for some minutes;
soon pages answer 500, DetachedInstanceError, as a relationship of a cached row is loaded lazily."""

import os
import tempfile

from cachetools import cached
from cachetools import TTLCache
from flask import abort
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Game(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))
    mods = db.relationship("Mod", back_populates="game")


class Mod(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))
    game_id = db.Column(db.ForeignKey("game.id"))
    game = db.relationship(Game, back_populates="mods")


@cached(TTLCache(maxsize=10, ttl=300))  # reported
def get_games():
    return Game.query.order_by(Game.name).all()


@cached(TTLCache(maxsize=10, ttl=300))
def get_game_names():
    return [(game.id, game.name) for game in Game.query.order_by(Game.name)]


class ModView(ModelView):
    column_list = ["name", "siblings"]
    column_formatters = {
        "siblings": lambda v, c, m, n: next(
            len(game.mods) for game in get_games() if game.id == m.game_id
        ),
    }


class CountingModView(ModView):
    column_formatters = {
        "siblings": lambda v, c, m, n: Mod.query.filter_by(game_id=m.game_id).count(),
    }


def create_app(broken):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "g.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all(
            [Game(name="Rockets", mods=[Mod(name="Boost"), Mod(name="Chutes")])]
        )
        db.session.commit()

    @app.get("/mod/<int:number>")
    def mod(number):
        one = db.session.get(Mod, number) or abort(404)
        if broken:
            games = [(game.name, len(game.mods)) for game in get_games()]
        else:
            games = [
                (name, Mod.query.filter_by(game_id=key).count())
                for key, name in get_game_names()
            ]
        return f"{one.name}, of {games}"

    Admin(app).add_view((ModView if broken else CountingModView)(Mod, db.session))
    return app


def broken():
    return create_app(True)


def fixed():
    return create_app(False)


def visit(app):
    client = app.test_client()
    for number in (1, 2, 9, 1):
        client.get(f"/mod/{number}")


def visit_and_read(app):
    client = app.test_client()
    for number in (1, 2, 9, 1):
        client.get(f"/mod/{number}").get_data()
