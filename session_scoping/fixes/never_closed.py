"""A teardown that closes the session of a handle of one's own."""

from flask import Flask
from flask import g


def fix(app: Flask) -> None:
    # begin
    @app.teardown_appcontext
    def close_session(error):
        session = g.pop("session", None)  # wherever the handle keeps it
        if session is not None:
            session.close()

    # end
