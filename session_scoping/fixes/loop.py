"""A thread whose loop enters an app context in each turn."""

import threading
import typing as t

from flask import Flask


def fix(
    app: Flask, db: t.Any, User: t.Any, counts: list[int], stopping: threading.Event
) -> t.Callable[[], None]:
    # begin
    def count_users():
        while not stopping.wait(60):
            with app.app_context():  # inside the loop: each turn has its own session
                counts.append(db.session.query(User).count())

    # with a plain scoped_session: db_session.remove() at the end of each turn
    # end
    return count_users
