"""A view that rolls back before Flask-Admin translates its message."""

import typing as t


def fix(db: t.Any, ModelView: t.Any) -> t.Any:
    # begin
    class UserView(ModelView):
        def handle_view_exception(self, error):
            db.session.rollback()  # before the message is translated and shown
            return super().handle_view_exception(error)

    # or read what the locale selector needs without this session
    # end
    return UserView
