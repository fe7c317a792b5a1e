"""Code in the middle of a request that spoils this request or the next."""

import typing as t

from flask import Flask

from flask_admin.contrib.sqla import ModelView
from tests.apps.blog import blog
from tests.apps.blog import db
from tests.apps.blog import HANDLE
from tests.apps.blog import of_users
from tests.apps.blog import Post
from tests.apps.blog import User

# A formatter "cleans up", and removes the session while the page is made. This detaches
# the rows: the first column that loads lazily answers 500.


class PostsView(ModelView):
    column_list: t.Any = ("name", "visits")
    column_searchable_list = ("name",)

    def count_posts(self, context: t.Any, user: t.Any, name: str) -> str:
        posts = db.session.query(Post).filter_by(user_id=user.id)
        return str(posts.count())  # broken: removed_in_formatter

    column_formatters: t.Any = {"visits": count_posts}


class RemovingView(PostsView):
    def count_and_remove(self, context: t.Any, user: t.Any, name: str) -> str:
        number = self.count_posts(context, user, name)
        db.session.remove()
        return number

    column_formatters = {"visits": count_and_remove}


removed_in_formatter_broken = blog(of_users(RemovingView))
removed_in_formatter_fixed = blog(of_users(PostsView))


# Each look at the details counts a visit, and commits it. Nothing outlives its request,
# but a GET writes: a crawler changes what it reads.


class UserView(ModelView):
    column_searchable_list = ("name",)
    can_view_details = True


class CountingView(UserView):
    def get_one(self, id: t.Any) -> t.Any:
        user = super().get_one(id)
        if user:
            user.visits += 1
            db.session.commit()  # broken: counting_view
        return user


counting_view_broken = blog(lambda admin: admin.add_view(CountingView(User, HANDLE)))
counting_view_fixed = blog(lambda admin: admin.add_view(UserView(User, HANDLE)))


# An app context is pushed when the app is built, "so that db.session works". All
# requests of that thread are inside of it and share its session.

pushed_context_fixed = blog(of_users(UserView))


def pushed_context_broken() -> Flask:
    app = pushed_context_fixed()
    app.app_context().push()
    return app
