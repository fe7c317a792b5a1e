"""An export that loads all its columns before it streams."""

import typing as t

from sqlalchemy.orm import selectinload


def fix(ModelView: t.Any, User: t.Any) -> t.Any:
    # begin
    class UserView(ModelView):
        column_export_list = ("name", "posts")  # leave out "posts", or load them here:

        def get_query(self):
            return super().get_query().options(selectinload(User.posts))

    # end
    return UserView
