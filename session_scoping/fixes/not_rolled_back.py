"""An error page that rolls back before it reads."""

import typing as t

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError


def fix(app: Flask, db: t.Any, User: t.Any) -> None:
    # begin
    @app.errorhandler(SQLAlchemyError)  # the same in each `except SQLAlchemyError`
    def sorry(error):
        db.session.rollback()  # before the session is used again
        return f"Sorry, all {db.session.query(User).count()} of you.", 500

    # end
