"""A view that reads through the handle that it was given."""

import typing as t


def fix(ModelView: t.Any, User: t.Any) -> t.Any:
    # begin
    class UserView(ModelView):
        def get_query(self):
            return self.session.query(User)  # the view's handle; elsewhere db.session

    # Another session on purpose? `with Session(engine) as session:` closes it, and
    # --leave-alone 'file.py:*' ignores it.
    # end
    return UserView
