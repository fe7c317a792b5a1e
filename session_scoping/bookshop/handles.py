"""Sets up each kind of handle for an app."""

import typing as t
from importlib import import_module

import flask
import sqlalchemy as sa
from sqlalchemy import orm

from session_scoping.bookshop.models import ARCHIVE
from session_scoping.bookshop.models import Loan

# A leak raises an error at once, instead of after half a minute.
POOL: dict[str, t.Any] = {"poolclass": sa.pool.QueuePool, "pool_timeout": 0}


def flask_sqlalchemy(app: flask.Flask, url: str, archive: str) -> t.Any:
    """``ModelView(Book, db)`` with Flask-SQLAlchemy."""
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_BINDS"] = {ARCHIVE: archive}
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = POOL
    return import_module("flask_sqlalchemy").SQLAlchemy(app)


def flask_sqlalchemy_session(app: flask.Flask, url: str, archive: str) -> t.Any:
    """``ModelView(Book, db.session)``: a ``scoped_session``."""
    return flask_sqlalchemy(app, url, archive).session


def lite(app: flask.Flask, url: str, archive: str) -> t.Any:
    """``ModelView(Book, db)`` with Flask-SQLAlchemy-Lite."""
    app.config["SQLALCHEMY_ENGINES"] = {
        "default": {"url": url, **POOL},
        ARCHIVE: {"url": archive, **POOL},
    }
    options = {"binds": {Loan: ARCHIVE}}
    return import_module("flask_sqlalchemy_lite").SQLAlchemy(
        app, session_options=options
    )


def scoped_session(app: flask.Flask, url: str, archive: str) -> t.Any:
    """``ModelView(Book, scoped_session(…))``, removed with the app context."""
    binds = {Loan: sa.create_engine(archive, **POOL)}
    engine = sa.create_engine(url, **POOL)
    session = orm.scoped_session(orm.sessionmaker(engine, binds=binds))
    app.teardown_appcontext(lambda error: session.remove())
    return session


# Each takes the app, and the URLs of the shop's database and of the archive.
MAKE: dict[str, t.Callable[[flask.Flask, str, str], t.Any]] = {
    "db": flask_sqlalchemy,
    "db.session": flask_sqlalchemy_session,
    "lite": lite,
    "scoped_session": scoped_session,
}


def session_of(handle: t.Any) -> orm.Session:
    """Return the session that a handle gives to the current request."""
    given = getattr(handle, "session", handle)
    return t.cast(
        orm.Session, given() if isinstance(given, orm.scoped_session) else given
    )
