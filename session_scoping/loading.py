"""Loads the user's app and test client, which are named by module and function."""

import os
import typing as t
from contextlib import contextmanager
from contextlib import nullcontext
from importlib import import_module

import flask
from flask.cli import NoAppException
from flask.cli import prepare_import
from flask.cli import ScriptInfo

from session_scoping.drive.client import checked
from session_scoping.drive.client import kind_of
from session_scoping.drive.client import MakeClient
from session_scoping.errors import CannotTell
from session_scoping.watch.places import where
from session_scoping.watch.recorder import Recorder

NAME_IT = "name an app, or a function that makes it, as in 'module:create_app'"


def load(target: "str | ScriptInfo", recorder: Recorder | None = None) -> flask.Flask:
    """Return the app that ``module:name`` or the options of ``flask`` name.

    A ``recorder`` that is running marks the sessions that are made while the app is
    built. Raises ``CannotTell`` if there is no app, or if building it fails.
    """
    if isinstance(target, str):
        file = target.partition(":")[0]
        if file.endswith(".py") and not os.path.exists(file):
            raise CannotTell(f"{file} does not exist: {NAME_IT}, or 'path/to/app.py'")
    info = ScriptInfo(app_import_path=target) if isinstance(target, str) else target
    try:
        building = recorder.building() if recorder else nullcontext()
        with building, _as_flask_loads():
            app = info.load_app()
    except NoAppException as error:
        raise CannotTell(_no_app(error)) from error
    except SystemExit as error:
        raise CannotTell(f"the app ends while it loads: {where(error)}") from error
    except Exception as error:
        raise CannotTell(f"the app does not load: {where(error)}") from error
    if not isinstance(app, flask.Flask):
        raise CannotTell(f"the app is {kind_of(app)}, not a Flask app: {NAME_IT}")
    return app


@contextmanager
def _as_flask_loads() -> t.Iterator[None]:
    """Let ``app.run()`` return at once, as the command ``flask`` does."""
    name = "FLASK_RUN_FROM_CLI"
    before = os.environ.get(name)
    os.environ[name] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


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


def load_client(target: str) -> MakeClient:
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
    if not hasattr(module, name):
        raise CannotTell(
            f"--client {target} is not there: name a function that takes the app"
        )
    return checked(getattr(module, name), f"--client {target}")
