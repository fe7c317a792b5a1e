"""A view that reads through the handle that it was given."""

import typing as t


def fix(db: t.Any, ModelView: t.Any, User: t.Any) -> t.Any:
    # begin
    class UserView(ModelView):
        def get_query(self):
            return db.session.query(User)  # or your scoped_session.query(User)

    # Another session on purpose? `with Session(engine) as session:` closes it.
    # --leave-alone 'file.py:*' ignores it.
    # end
    return UserView
