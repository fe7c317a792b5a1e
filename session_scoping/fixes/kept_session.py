"""A view that asks its handle each time."""

import typing as t


def fix(db: t.Any, ModelView: t.Any, User: t.Any) -> t.Any:
    # begin
    class UserView(ModelView):
        def get_query(self):
            return db.session.query(User)  # ask db.session each time; keep no session

    # end
    return UserView
