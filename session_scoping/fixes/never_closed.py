"""A teardown that closes the session of a handle that the app has written itself."""

from flask import Flask
from flask import g


def fix(app: Flask) -> None:
    # begin
    @app.teardown_appcontext
    def close_session(error):
        session = g.pop("session", None)  # from where your handle keeps it
        if session is not None:
            session.close()

    # end
