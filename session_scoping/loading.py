"""Finds the user's app, and what else the user names by module and function."""

import sys
import traceback
import typing as t

import click
import flask
from flask.cli import ScriptInfo
from flask.testing import FlaskClient
from werkzeug.utils import import_string

from session_scoping.errors import CannotTell
from session_scoping.recorder import Recorder
from session_scoping.recorder import told


def load(target: "str | ScriptInfo", recorder: Recorder) -> flask.Flask:
    """The app that ``module:name`` or the options of ``flask`` name.

    ``recorder``, running, marks the sessions that are made meanwhile. Raises
    ``CannotTell`` when there is no app, or when making it fails.
    """
    info = ScriptInfo(app_import_path=target) if isinstance(target, str) else target
    recorder.building = True
    try:
        app = info.load_app()
    except click.ClickException as error:
        why = " ".join(error.format_message().split())
        inner = error.__context__
        if isinstance(inner, ImportError) and "Traceback" in why:
            why = f"the app does not load: {where(inner)}"
        elif isinstance(inner, TypeError):  # a factory that wants arguments
            why = f"{why.rstrip('.')}: {inner}"
        raise CannotTell(why) from error
    except Exception as error:
        raise CannotTell(f"the app does not load: {where(error)}") from error
    finally:
        recorder.building = False
    if not isinstance(app, flask.Flask):
        raise CannotTell(
            f"{info.app_import_path} is a {type(app).__name__}, no Flask app"
        )
    return app


def load_client(target: str) -> t.Callable[[flask.Flask], FlaskClient]:
    """The function ``module:function`` that makes a logged-in test client.

    What it does and returns is checked when it is called. Raises ``CannotTell``.
    """
    try:
        make = import_string(target)
    except Exception as error:
        raise CannotTell(f"{target} does not import: {where(error)}") from error

    def make_client(app: flask.Flask) -> FlaskClient:
        try:
            client = make(app)
        except Exception as error:
            raise CannotTell(f"{target} fails: {where(error)}") from error
        if not isinstance(client, FlaskClient):
            kind = type(client).__name__
            raise CannotTell(
                f"{target} returns a {kind}; it has to return a test client"
            )
        return client

    return make_client


def where(error: BaseException) -> str:
    """An exception in a line, with the line of code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if not _installed(one.filename)] or frames
    if isinstance(error, SyntaxError) and error.filename:
        return f"{told(error)} ({error.filename}:{error.lineno})"
    return (
        f"{told(error)} ({own[-1].filename}:{own[-1].lineno})" if own else told(error)
    )


def _installed(path: str) -> bool:
    return "site-packages" in path or path.startswith(
        (sys.prefix, sys.base_prefix, "<")
    )
