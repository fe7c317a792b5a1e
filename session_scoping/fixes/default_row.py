"""A form whose default is a function, and no row."""

import typing as t


def fix(db: t.Any, ModelView: t.Any, User: t.Any) -> t.Any:
    # begin
    class PostView(ModelView):
        form_args = {  # the form calls the function each time that it is shown
            "user": {"default": lambda: db.session.query(User).first()},
        }

    # end
    return PostView
