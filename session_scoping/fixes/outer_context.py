"""Requests of a test client outside any app context."""

import typing as t

from flask import Flask
from flask.testing import FlaskClient


def fix(app: Flask, client: FlaskClient, db: t.Any, User: t.Any) -> None:
    # begin
    client.get("/admin/user/")  # outside: each request brings an app context of its own
    with app.app_context():  # only around your own queries
        assert db.session.query(User).count() > 0
    # end
