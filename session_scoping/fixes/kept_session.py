"""A view that asks its handle each time."""

import typing as t


def fix(db: t.Any, ModelView: t.Any, User: t.Any) -> t.Any:
    # begin
    class UserView(ModelView):
        # Delete what keeps the session, such as: self.reader = db.session()
        def get_query(self):
            return db.session.query(User)  # ask db.session each time

    # end
    return UserView
