"""A view that is given the handle, and not what calling it returns."""

import typing as t

from flask_admin import Admin


def fix(admin: Admin, db: t.Any, User: t.Any, UserView: t.Any) -> None:
    # begin
    # db itself, and not db.session(); before Flask-Admin 2.1: db.session
    admin.add_view(UserView(User, db))
    # end
