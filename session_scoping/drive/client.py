"""The user's function that makes a test client, for an admin behind a login."""

import inspect
import typing as t

import flask
from flask.testing import FlaskClient

from session_scoping.errors import CannotTell
from session_scoping.watch.places import where

MakeClient = t.Callable[[flask.Flask], FlaskClient]


def checked(make: object, name: str) -> MakeClient:
    """Return the user's function that makes a test client, with its result checked.

    ``name`` is what an error calls it. To check a function again changes nothing.
    Raises ``CannotTell`` if it does not take the app. The returned function raises
    ``CannotTell`` if it fails, or does not return a test client.
    """
    if not callable(make):
        raise CannotTell(
            f"{name} is {kind_of(make)}: it has to be a function that takes the app"
        )
    try:
        inspect.signature(make).bind("app")
    except TypeError as error:
        raise CannotTell(f"{name} has to take the app: {error}") from error
    except ValueError:
        pass  # a function in C may have no signature

    def make_client(app: flask.Flask) -> FlaskClient:
        try:
            client = make(app)
        except CannotTell:
            raise
        except (Exception, SystemExit) as error:
            raise CannotTell(f"{name} fails: {where(error)}") from error
        if not isinstance(client, FlaskClient):
            raise CannotTell(
                f"{name} returns {kind_of(client)}: it has to return a test client, as "
                "app.test_client() does"
            )
        return client

    return make_client


def kind_of(value: object) -> str:
    """Return what a value is, as a sentence says it."""
    return "None" if value is None else f"an object of type {type(value).__name__}"
