"""Code that builds an app, and leaves no session open."""

import typing as t

from flask import Flask


def fix(app: Flask, db: t.Any, User: t.Any) -> list[str]:
    # begin
    with app.app_context():  # when the app is built: its end closes db.session
        names = [user.name for user in db.session.query(User)]  # plain values
    # a session of your own: `with Session(db.engine) as session:` closes it
    # end
    return names
