"""Sessions that a view makes by hand, beside the session of its handle."""
# mypy: allow-subclassing-any

import datetime
import enum
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

# The list is read through a session that is never closed. Selected rows cannot be
# deleted: they belong to another session than the view's.


class UserView(ModelView):
    column_searchable_list = ("name",)
    column_editable_list = ("name",)


# begin session-by-hand
class OwnQueryView(UserView):
    def get_query(self) -> t.Any:
        return Session(db.engine).query(User)  # broken: by_hand_query


# end


by_hand_query_broken = blog(of_users(OwnQueryView))
by_hand_query_fixed = blog(
    lambda admin: of_users(by_hand.fix(db, UserView, User))(admin),
)


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


# on_model_change writes a log through another session: the log says "saved" even if the
# row itself was refused.


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


# The options of a filter are read through another session: each look at the list leaves
# a session behind.


class Colour(enum.Enum):
    red = "red"
    green = "green"


class Bike(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)
    gears = db.Column(db.Integer)
    electric = db.Column(db.Boolean, default=False)
    bought = db.Column(db.Date)
    colour = db.Column(db.Enum(Colour), default=Colour.red)
    size = db.Column(db.Enum("small", "large", name="size"), default="small")


class BikeView(ModelView):
    column_searchable_list = ("name",)
    column_filters: t.Any = ("gears", "electric", "name", "bought", "colour", "size")
    form_excluded_columns = ("colour", "size")

    def reader(self) -> t.Any:
        return db.session

    def names(self) -> list[tuple[str, str]]:
        bikes = self.reader().query(Bike)
        return [(bike.name, bike.name.title()) for bike in bikes]  # broken: filters

    def get_filters(self) -> t.Any:
        names = FilterEqual(Bike.name, "One of", options=self.names)
        return [*(super().get_filters() or []), names]

    @expose("/")
    def index_view(self) -> t.Any:
        self._refresh_filters_cache()
        return super().index_view()


class OwnBikeView(BikeView):
    def reader(self) -> t.Any:
        return Session(db.engine)


def seed_bikes() -> None:
    for day, name in enumerate(["arrow", "bolt", "comet", "dart", "echo"], 1):
        bought = datetime.date(2024, 5, day)
        db.session.add(Bike(name=name, gears=day, bought=bought))
    db.session.commit()


filters_broken = blog(
    lambda admin: admin.add_view(OwnBikeView(Bike, db.session)), seed_bikes
)
filters_fixed = blog(
    lambda admin: admin.add_view(BikeView(Bike, db.session)), seed_bikes
)


# A page reads from a second database, on purpose through another session. The session
# is not closed, and each look keeps a connection.


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
