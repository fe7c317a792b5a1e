"""Loads the user's app and test client, which are named by module and function."""

import inspect
import typing as t
from importlib import import_module

import flask
from flask.cli import NoAppException
from flask.cli import prepare_import
from flask.cli import ScriptInfo
from flask.testing import FlaskClient

from session_scoping.errors import CannotTell
from session_scoping.watch.places import where
from session_scoping.watch.recorder import Recorder

NAME_IT = "name an app, or a function that makes it, as in 'module:create_app'"


def load(target: "str | ScriptInfo", recorder: Recorder) -> flask.Flask:
    """Return the app that ``module:name`` or the options of ``flask`` name.

    ``recorder`` has to be running: it marks the sessions that are made while the app is
    built. Raises ``CannotTell`` if there is no app, or if building it fails.
    """
    info = ScriptInfo(app_import_path=target) if isinstance(target, str) else target
    try:
        with recorder.building():
            app = info.load_app()
    except NoAppException as error:
        raise CannotTell(_no_app(error)) from error
    except SystemExit as error:
        raise CannotTell(f"the app ends while it loads: {where(error)}") from error
    except Exception as error:
        raise CannotTell(f"the app does not load: {where(error)}") from error
    if not isinstance(app, flask.Flask):
        raise CannotTell(f"not a Flask app, but a {type(app).__name__}: {NAME_IT}")
    return app


def _no_app(error: NoAppException) -> str:
    """Return in a line what ``flask`` says in several lines, or in a traceback."""
    why = " ".join(error.format_message().split())
    inner = error.__context__
    if isinstance(inner, ImportError) and "Traceback" in why:
        return f"the app does not load: {where(inner)}"
    why = why.rstrip(".")
    if "Use " in why:
        return why
    if isinstance(inner, TypeError):  # a factory that needs arguments
        return f"{why}: {inner}: write them down, as in 'module:create_app(\"test\")'"
    if "Could not import" in why:
        return f"{why}: start in the folder that it is in, or name 'path/to/app.py:app'"
    return f"{why}: {NAME_IT}"


def load_client(target: str) -> t.Callable[[flask.Flask], FlaskClient]:
    """Return the function ``module:function`` that makes a logged-in test client.

    Raises ``CannotTell`` if it is not there, or does not take the app. The returned
    function raises ``CannotTell`` if it fails, or does not return a test client.
    """
    path, _, name = target.rpartition(":")
    if not (path and name):
        raise CannotTell(f"--client {target} is no MODULE:FUNCTION")
    try:
        module = import_module(prepare_import(path))
    except (Exception, SystemExit) as error:
        raise CannotTell(f"--client {path} does not import: {where(error)}") from error
    make = getattr(module, name, None)
    if not callable(make):
        kind = "is no function" if hasattr(module, name) else "is not there"
        raise CannotTell(
            f"--client {target} {kind}: name a function that takes the app"
        )
    try:
        inspect.signature(make).bind("app")
    except TypeError as error:
        raise CannotTell(f"--client {target} has to take the app: {error}") from error
    except ValueError:
        pass  # a function in C may have no signature

    def make_client(app: flask.Flask) -> FlaskClient:
        try:
            client = make(app)
        except (Exception, SystemExit) as error:
            raise CannotTell(f"--client {target} fails: {where(error)}") from error
        if not isinstance(client, FlaskClient):
            kind = type(client).__name__
            raise CannotTell(
                f"--client {target} returns a {kind}: it has to return a test client, "
                "as app.test_client() does"
            )
        return client

    return make_client
