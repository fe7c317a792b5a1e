"""Sessions that a view makes by hand, beside the session of its handle."""
# mypy: allow-subclassing-any

import typing as t

from sqlalchemy.orm import Session

from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.filters import FilterEqual
from session_scoping.fixes import by_hand
from tests.apps.blog import blog
from tests.apps.blog import db
from tests.apps.blog import of_users
from tests.apps.blog import page
from tests.apps.blog import Post
from tests.apps.blog import User
from tests.apps.engines import connect

# The list is read through a session that nobody closes. Selected rows cannot be
# deleted: they belong to another session than the view's.


class UserView(ModelView):
    column_searchable_list = ("name",)
    column_editable_list = ("name",)


class OwnQueryView(UserView):
    def get_query(self) -> t.Any:
        return Session(db.engine).query(User)  # broken: by_hand_query


by_hand_query_broken = blog(of_users(OwnQueryView))
by_hand_query_fixed = blog(of_users(by_hand.fix(UserView, User)))


# A formatter makes a session for each row: a page of fifty rows takes fifty
# connections, and the pool runs dry.


class PostsView(ModelView):
    column_list: t.Any = ("name", "posts")
    column_searchable_list = ("name",)

    def reader(self) -> t.Any:
        return db.session

    def count_posts(self, context: t.Any, user: t.Any, name: str) -> str:
        posts = self.reader().query(Post).filter_by(user_id=user.id)
        return str(posts.count())  # broken: by_hand_formatter

    column_formatters: t.Any = {"posts": count_posts}


class OwnPostsView(PostsView):
    def reader(self) -> t.Any:
        return Session(db.engine)


by_hand_formatter_broken = blog(of_users(OwnPostsView))
by_hand_formatter_fixed = blog(of_users(PostsView))


# on_model_change writes a log through a session of its own: it says "saved" even where
# the row itself was refused.


class LoggedView(UserView):
    def on_model_change(self, form: t.Any, model: t.Any, is_created: bool) -> None:
        db.session.add(Post(title=f"saved {model.name}"[:40]))


class OwnLogView(UserView):
    def on_model_change(self, form: t.Any, model: t.Any, is_created: bool) -> None:
        log = Session(db.engine)
        log.add(Post(title=f"saved {model.name}"[:40]))  # broken: by_hand_on_change
        log.flush()
        log.commit()


by_hand_on_change_broken = blog(of_users(OwnLogView))
by_hand_on_change_fixed = blog(of_users(LoggedView))


# The options of a filter are read through a session of their own: each look at the list
# leaves one behind.


class FilteredView(ModelView):
    column_searchable_list = ("name",)
    column_filters: t.Any = ("visits", "active", "name", "born", "colour", "size")
    form_excluded_columns = ("colour", "size")

    def reader(self) -> t.Any:
        return db.session

    def names(self) -> list[tuple[str, str]]:
        users = self.reader().query(User)
        return [(user.name, user.name.upper()) for user in users]  # broken: filters

    def get_filters(self) -> t.Any:
        names = FilterEqual(User.name, "One of", options=self.names)
        return [*(super().get_filters() or []), names]

    @expose("/")
    def index_view(self) -> t.Any:
        self._refresh_filters_cache()
        return super().index_view()


class OwnFilteredView(FilteredView):
    def reader(self) -> t.Any:
        return Session(db.engine)


filters_broken = blog(of_users(OwnFilteredView))
filters_fixed = blog(of_users(FilteredView))


# A page reads from a second database, on purpose through a session of its own. Where
# that is not closed, each look keeps a connection.


class OtherView(BaseView):
    def __init__(self, **options: t.Any) -> None:
        super().__init__(**options)
        self.engine = connect("sqlite://")
        db.metadata.create_all(self.engine)

    def count(self) -> int:
        with Session(self.engine) as session:
            return session.query(User).count()

    @expose("/")
    def index(self) -> str:
        return f"{self.count()} users elsewhere"


class OpenOtherView(OtherView):
    def count(self) -> int:
        session = Session(self.engine)
        return session.query(User).count()  # broken: second_database


second_database_broken = blog(page(OpenOtherView))
second_database_fixed = blog(page(OtherView))
