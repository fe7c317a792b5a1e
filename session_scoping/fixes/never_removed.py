"""A teardown that removes the session, whatever happened."""

import typing as t

from flask import Flask


def fix(app: Flask, db_session: t.Any) -> None:
    # begin
    @app.teardown_appcontext
    def remove_session(error):
        db_session.remove()  # always, and not close(), which leaves it in the registry

    # end
