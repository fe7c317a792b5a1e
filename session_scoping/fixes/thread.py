"""A thread that works in an app context of its own."""

import typing as t

from flask import Flask


def fix(app: Flask, db: t.Any, User: t.Any, counts: list[int]) -> t.Callable[[], None]:
    # begin
    def count_users():
        with app.app_context():  # gives the thread a session of its own
            counts.append(db.session.query(User).count())

    # end
    return count_users
