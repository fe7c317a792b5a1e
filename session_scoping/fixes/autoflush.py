"""A hook that queries before its row is complete, and does not flush the row."""

import typing as t


def fix(db: t.Any, ModelView: t.Any, Post: t.Any) -> t.Any:
    # begin
    class UserView(ModelView):
        def on_model_change(self, form, model, is_created):
            with db.session.no_autoflush:  # the row is not complete yet
                post = db.session.query(Post).first()
            model.name = f"The author of {post.title}"

    # end
    return UserView
