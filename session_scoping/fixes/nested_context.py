"""A function that a request calls, in the app context of the request."""

import typing as t


def fix(db: t.Any, User: t.Any) -> t.Callable[[], int]:
    # begin
    def count_users():  # no `with app.app_context():` in what a request calls
        return db.session.query(User).count()

    # end
    return count_users
