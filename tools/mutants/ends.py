"""Teardowns that do nothing where a request, or a context, does not end as usual."""

import threading
import typing as t

import flask
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy_lite import _extension as lite
from sqlalchemy import orm

from flask_admin.base import BaseView
from tools.mutants import around
from tools.mutants import mutant
from tools.mutants import second_app

Lite: t.Any = lite.SQLAlchemy
Extension: t.Any = SQLAlchemy
Skip = t.Callable[[BaseException | None], bool]
FORGOTTEN: list[t.Any] = []


def _skip_flask_sqlalchemy(skip: Skip) -> None:
    """Leave the session as it is where ``skip`` says so of the error of a request."""

    @around(SQLAlchemy, "_teardown_session")
    def teardown(original: t.Any, self: t.Any, error: BaseException | None) -> None:
        if not skip(error):
            original(self, error)


def _skip_lite(skip: Skip) -> None:
    """Forget the sessions, open as they are, where ``skip`` says so."""

    @around(lite, "_close_sessions")
    def close(original: t.Any, error: BaseException | None) -> None:
        if skip(error):
            FORGOTTEN.append(flask.g.pop("_sqlalchemy_sessions", None))
        original(error)


def _is_kill(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, Exception)


def _is_for_the_debugger(error: BaseException | None) -> bool:
    config = flask.current_app.config
    propagates = config["PROPAGATE_EXCEPTIONS"] or config["TESTING"]
    return error is not None and bool(propagates)


def _was_torn_down(error: BaseException | None) -> bool:
    """Was this context torn down before? A debugger may enter it again."""
    before = flask.g.get("_torn_down", False)
    flask.g._torn_down = True
    return bool(before)


@mutant("released", "recovers")
def flask_sqlalchemy_leaves_its_session_when_a_request_is_killed() -> None:
    """The teardown ignores ``SystemExit`` and ``KeyboardInterrupt``."""
    _skip_flask_sqlalchemy(_is_kill)


@mutant("released", "recovers")
def lite_leaves_its_sessions_when_a_request_is_killed() -> None:
    """The teardown ignores ``SystemExit`` and ``KeyboardInterrupt``."""
    _skip_lite(_is_kill)


@mutant("released", "recovers")
def flask_sqlalchemy_leaves_its_session_to_the_debugger() -> None:
    """The teardown does nothing after an exception that reaches the server."""
    _skip_flask_sqlalchemy(_is_for_the_debugger)


@mutant("released", "recovers")
def lite_leaves_its_sessions_to_the_debugger() -> None:
    """The teardown does nothing after an exception that reaches the server."""
    _skip_lite(_is_for_the_debugger)


@mutant("released", beyond=True)
def flask_sqlalchemy_tears_down_a_context_once() -> None:
    """The teardown does nothing in a context that is entered again."""
    _skip_flask_sqlalchemy(_was_torn_down)


@mutant("released", beyond=True)
def lite_tears_down_a_context_once() -> None:
    """The teardown does nothing in a context that is entered again."""
    _skip_lite(_was_torn_down)


@mutant("released")
def flask_sqlalchemy_removes_its_session_when_the_response_is_closed() -> None:
    """The response closes the session. The response of a HEAD request is not closed."""
    Extension._teardown_session = lambda self, error: None

    @around(flask.Flask, "finalize_request")
    def finalize(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        response = original(self, *args, **more)
        db = self.extensions.get("sqlalchemy")
        if db is not None and db.session.registry.has():
            response.call_on_close(db.session().close)
            db.session.registry.clear()
        return response


@mutant("released", beyond=True)
def only_the_admin_tears_down() -> None:
    """The session is removed by a teardown of the admin, and not of the app."""
    Extension._teardown_session = lambda self, error: None

    @around(BaseView, "create_blueprint")
    def create(original: t.Any, self: t.Any, admin: t.Any) -> t.Any:
        def teardown(error: BaseException | None) -> None:
            db = admin.app.extensions.get("sqlalchemy")
            if isinstance(db, SQLAlchemy):
                db.session.remove()

        blueprint = original(self, admin)
        blueprint.teardown_request(teardown)
        return blueprint


def _with_the_request(extension: t.Any, own: t.Callable[[t.Any], t.Any]) -> None:
    @around(extension, "init_app")
    def init_app(original: t.Any, self: t.Any, app: flask.Flask) -> None:
        original(self, app)
        app.teardown_appcontext_funcs.remove(own(self))
        app.teardown_request(own(self))


@mutant("released", "alive", "fresh", beyond=True)
def flask_sqlalchemy_tears_down_requests_and_no_contexts() -> None:
    """``teardown_request`` removes the session: not that of a job."""
    _with_the_request(SQLAlchemy, lambda self: self._teardown_session)


@mutant("released", "alive", "fresh", beyond=True)
def lite_tears_down_requests_and_no_contexts() -> None:
    """``teardown_request`` closes the sessions: not those of a job."""
    _with_the_request(Lite, lambda self: lite._close_sessions)


@mutant("released", "fresh", beyond=True)
def flask_sqlalchemy_tears_down_only_its_first_app() -> None:
    """Only the first app of an extension object removes its sessions."""
    _skip_flask_sqlalchemy(lambda error: second_app() is not None)


@mutant("released", beyond=True)
def lite_tears_down_only_its_first_app() -> None:
    """Only the first app of an extension object closes its sessions."""
    _skip_lite(lambda error: second_app() is not None)


@mutant("released", "alive", "single", beyond=True)
def flask_sqlalchemy_tears_down_before_the_app() -> None:
    """The session is removed before the app's own teardowns, which use it again."""
    Extension._teardown_session = lambda self, error: None

    @around(flask.Flask, "do_teardown_appcontext")
    def teardown(original: t.Any, self: t.Any, *args: t.Any) -> None:
        db = self.extensions.get("sqlalchemy")
        if isinstance(db, SQLAlchemy):
            db.session.remove()
        original(self, *args)


@mutant("released", "fresh")
def a_scoped_session_is_removed_by_another_thread() -> None:
    """``remove()`` runs on a thread: it removes the session of that thread."""

    @around(orm.scoped_session, "remove")
    def remove(original: t.Any, self: t.Any) -> None:
        thread = threading.Thread(target=original, args=(self,))
        thread.start()
        thread.join()
