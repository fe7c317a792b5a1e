"""A teardown that removes the session and commits nothing."""

import typing as t

from flask import Flask


def fix(app: Flask, db_session: t.Any) -> None:
    # begin
    @app.teardown_appcontext
    def remove_session(error):
        db_session.remove()  # no commit here: the views commit their own changes

    # end
