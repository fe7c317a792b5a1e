"""A teardown that removes the session, whatever happened."""

import typing as t

from flask import Flask


def fix(app: Flask, session: t.Any) -> None:
    # begin
    @app.teardown_appcontext
    def remove_session(error):
        session.remove()  # always, and not close(), which leaves it in the registry

    # Async views run on another thread. With async views, use this scope:
    # scoped_session(sessionmaker(engine), scopefunc=app_ctx._get_current_object)
    # end
