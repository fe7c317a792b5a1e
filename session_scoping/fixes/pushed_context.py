"""Code that builds an app, in an app context that ends."""

import typing as t

from flask import Flask


def fix(app: Flask, db: t.Any) -> None:
    # begin
    with app.app_context():  # not app.app_context().push(): this ends with the block
        db.create_all()
    # end
