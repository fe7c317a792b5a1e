"""A view that is given the handle, and not a session."""

import typing as t

from flask_admin import Admin


def fix(admin: Admin, db: t.Any, User: t.Any, UserView: t.Any) -> None:
    # begin
    # db, not db.session(); before Flask-Admin 2.1: db.session, without a call
    admin.add_view(UserView(User, db))
    # end
