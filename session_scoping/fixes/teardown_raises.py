"""A teardown that does not keep the next one from running."""

import typing as t

from flask import Flask


def fix(app: Flask, flush_log: t.Callable[[], None]) -> None:
    # begin
    @app.teardown_appcontext
    def log(error):
        try:
            flush_log()  # what the teardown does
        except Exception:
            app.logger.exception("a teardown failed")

    # end
