"""Code in the middle of a request that spoils this request or the next."""

import typing as t
from functools import lru_cache

from flask import current_app
from flask import Flask
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping.fixes import cached_rows
from session_scoping.fixes import nested_context
from session_scoping.fixes import never_removed
from session_scoping.fixes import pushed_context
from session_scoping.fixes import two_handles
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
        return str(posts.count())

    column_formatters: t.Any = {"visits": count_posts}


# begin closed-early
# A column removes the session while the page is made.
class RemovingView(PostsView):
    def count_and_remove(self, context: t.Any, user: t.Any, name: str) -> str:
        number = self.count_posts(context, user, name)
        db.session.remove()  # broken: removed_in_formatter
        return number

    column_formatters = {"visits": count_and_remove}


# end


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


def pushed_context_broken() -> Flask:
    app = blog(of_users(UserView))()
    # begin pushed-context
    # Nothing pops this app context.
    app.app_context().push()  # broken: pushed_context
    # end
    return app


def pushed_context_fixed() -> Flask:
    app = blog(of_users(UserView))()
    pushed_context.fix(app, db)
    return app


# A column opens an app context, as a task would. It reads through another session.


class TotalView(UserView):
    column_list = ("name", "visits")

    def count(self) -> int:
        return nested_context.fix(db, User)()

    def of_all(self, context: t.Any, user: t.Any, name: str) -> str:
        return f"{user.visits}, of {self.count()} users"

    column_formatters: t.Any = {"visits": of_all}


# begin nested-context
class ContextView(TotalView):
    def count(self) -> int:
        with current_app.app_context():  # broken: context_in_request
            return super().count()


# end


context_in_request_broken = blog(of_users(ContextView))
context_in_request_fixed = blog(of_users(TotalView))


# A helper has a handle of its own for the same database.


class Datastore:
    def __init__(self, session: t.Any) -> None:
        self.session = session

    def count(self) -> int:
        return int(self.session.query(User).count())  # broken: second_handle


def with_datastore(make: t.Callable[[], Datastore]) -> t.Callable[[], Flask]:
    def add_view(admin: Admin) -> None:
        datastore = make()

        class StoreView(UserView):
            column_formatters: t.Any = {
                "name": lambda view, context, user, name: str(datastore.count())
            }

        admin.add_view(StoreView(User, db.session))

    return blog(add_view)


def with_second_handle() -> Flask:
    sessions = []

    def make() -> Datastore:
        # begin two-handles
        session = scoped_session(sessionmaker(db.engine))  # beside db.session
        datastore = Datastore(session)
        # end
        sessions.append(session)
        return datastore

    app = with_datastore(make)()
    never_removed.fix(app, sessions[-1])
    return app


second_handle_broken = with_second_handle
second_handle_fixed = with_datastore(lambda: two_handles.fix(db, Datastore))


# The names of all users are cached, once as rows and once as plain values.


class CachedView(UserView):
    names: t.Any

    def all_names(self, context: t.Any, user: t.Any, name: str) -> str:
        return f"{user.name}, of {len(self.names())}"

    column_formatters: t.Any = {"name": all_names}


def with_cache(make: t.Callable[[], t.Any]) -> t.Callable[[], Flask]:
    def add_view(admin: Admin) -> None:
        view = CachedView(User, db.session)
        view.names = make()
        admin.add_view(view)

    return blog(add_view)


def cache_of_rows() -> t.Any:
    # begin cached-rows
    @lru_cache
    def all_users() -> t.Any:
        return db.session.query(User).all()

    # end
    return all_users


cached_rows_broken = with_cache(cache_of_rows)
cached_rows_fixed = with_cache(lambda: cached_rows.fix(db, User))
