"""A stream that closes the session that it makes, also when the client leaves."""

import typing as t

from flask import Flask
from flask import Response
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session


def fix(app: Flask, engine: Engine, User: t.Any) -> None:
    # begin
    def names():
        with Session(engine) as session:  # closes it, also when the client leaves
            for user in session.query(User):
                yield f"{user.name}\n"

    @app.get("/users")
    def users():
        return Response(names())

    # end
