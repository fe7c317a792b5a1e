"""A view that is given Flask-SQLAlchemy-Lite's handle, and not a session."""

import typing as t

from flask_admin import Admin


def fix(admin: Admin, db: t.Any, User: t.Any, UserView: t.Any) -> None:
    # begin
    # db, not db.session; this needs Flask-Admin 2.1 or newer
    admin.add_view(UserView(User, db))
    # end
