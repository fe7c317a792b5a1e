"""A view that reads what it needs before it streams."""

import typing as t

from flask import Flask
from flask import Response


def fix(app: Flask, db: t.Any, User: t.Any) -> None:
    # begin
    @app.get("/users")
    def users():
        # Read plain values before the stream begins: a row is detached by then.
        names = [user.name for user in db.session.query(User)]
        return Response(f"{name}\n" for name in names)

    # end
