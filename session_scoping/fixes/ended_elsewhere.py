"""A stream that needs no app context, because it has read its rows before."""

import typing as t

from flask import Flask
from flask import Response


def fix(app: Flask, db: t.Any, User: t.Any) -> None:
    # begin
    @app.get("/users")
    def stream():
        names = [user.name for user in db.session.query(User)]  # read them all first
        return Response(iter(names))  # without stream_with_context()

    # or use a server that closes a response on the thread that iterated over it
    # end
