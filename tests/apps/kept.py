"""Sessions, rows and connections that something keeps beyond a request."""
# mypy: allow-subclassing-any

import typing as t

from flask import current_app
from sqlalchemy import text
from sqlalchemy.orm import Session
from wtforms import SelectField

from flask_admin import Admin
from flask_admin import AdminIndexView
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from session_scoping.fixes import called_session
from session_scoping.fixes import connection
from session_scoping.fixes import default_row
from session_scoping.fixes import kept_instance
from session_scoping.fixes import kept_session
from session_scoping.fixes import kept_since_start
from tests.apps.blog import blog
from tests.apps.blog import db
from tests.apps.blog import HANDLE
from tests.apps.blog import of_users
from tests.apps.blog import page
from tests.apps.blog import Post
from tests.apps.blog import seed
from tests.apps.blog import User

# A view calls db.session: its lists go on showing what was loaded once.


class UserView(ModelView):
    column_searchable_list = ("name", "visits")
    can_view_details = True
    can_export = True
    page_size = 5


# begin called-session
class CallingView(UserView):
    def __init__(self, model: t.Any, session: t.Any) -> None:
        super().__init__(model, session)
        self.session = session()  # broken: called_session


# end


called_session_broken = blog(of_users(CallingView))
called_session_fixed = blog(
    lambda admin: called_session.fix(admin, HANDLE, User, UserView)
)


# A helper takes a session when it is first called. The first request is right; from the
# second on the counts stand still.

_session: t.Any = None


class CountView(BaseView):
    def get_session(self) -> t.Any:
        return db.session

    @expose("/")
    def index(self) -> str:
        return f"{self.get_session().query(User).count()} users"


class CountOnceView(CountView):
    def __init__(self, **options: t.Any) -> None:
        global _session
        _session = None
        super().__init__(**options)

    def get_session(self) -> t.Any:
        global _session
        if _session is None:
            _session = db.session()  # broken: first_use_global
        return _session


first_use_global_broken = blog(page(CountOnceView))
first_use_global_fixed = blog(page(CountView))


# begin kept-session
# A class attribute keeps the session that the first request has opened. Two admins
# share it: an error in one admin rolls back an edit in the other.


class FastUserView(UserView):
    reader: t.Any = None

    def get_query(self) -> t.Any:
        cls = type(self)
        if cls.reader is None:
            cls.reader = db.session()  # broken: class_attribute
        return cls.reader.query(User)


# end


def add_twice(desk: Admin, view: t.Any) -> None:
    desk.add_view(view(User, db.session, endpoint="desk_user"))
    index = AdminIndexView(url="/kitchen", endpoint="kitchen")
    kitchen = Admin(desk.app, "Kitchen", "/kitchen", index_view=index)
    kitchen.endpoint = "kitchen"
    kitchen.add_view(
        view(User, db.session, endpoint="kitchen_user", url="/kitchen/user")
    )


def add_fast_twice(desk: Admin) -> None:
    FastUserView.reader = None
    add_twice(desk, FastUserView)


class_attribute_broken = blog(add_fast_twice)
class_attribute_fixed = blog(
    lambda desk: add_twice(desk, kept_session.fix(db, UserView, User))
)


# The choices of a field are read through a session of startup: a new title is missing
# from the form until the app is restarted.


class ChoosingView(ModelView):
    def reader(self) -> t.Any:
        return db.session

    def scaffold_form(self) -> t.Any:
        form = super().scaffold_form()
        session = self.reader()
        form.name = SelectField(
            choices=lambda: [post.title for post in session.query(Post)]
        )
        return form


class EagerChoosingView(ChoosingView):
    def reader(self) -> t.Any:
        return db.session()  # broken: choices_function


choices_function_broken = blog(of_users(EagerChoosingView))
choices_function_fixed = blog(of_users(ChoosingView))


# The query_factory of a field closes over a session: "Object is already attached to
# session", so what the form offers cannot be saved.


def with_factory(session: t.Any) -> ModelView:
    class PostView(ModelView):
        column_list = ("title", "user")
        column_searchable_list = ("title", "user.name")
        form_args: t.Any = {
            "user": {"query_factory": lambda: session.query(User).order_by("name")}
        }

    return PostView(Post, db.session)


query_factory_broken = blog(
    lambda admin: admin.add_view(with_factory(db.session()))  # broken: query_factory
)
query_factory_fixed = blog(lambda admin: admin.add_view(with_factory(db.session)))


# The look-up of a field is given a session: a row that was added after startup is never
# suggested.


def with_look_up(session: t.Any) -> ModelView:
    class PostView(ModelView):
        column_list = ("title", "user")
        column_searchable_list = ("title",)
        form_columns = ("title", "user")
        form_ajax_refs = {
            "user": QueryAjaxModelLoader(
                "user", session, User, fields=["name"], page_size=5
            )
        }

    return PostView(Post, db.session)


ajax_lookup_broken = blog(
    lambda admin: admin.add_view(with_look_up(db.session()))  # broken: ajax_lookup
)
ajax_lookup_fixed = blog(lambda admin: admin.add_view(with_look_up(db.session)))


# The default of a field is a row, which the class of the form keeps.


def add_posts(admin: Admin) -> None:
    # begin default-row
    class PostView(ModelView):
        form_args: t.Any = {
            "user": {"default": db.session.query(User).first()}  # broken: default_row
        }

    # end

    admin.add_view(PostView(Post, db.session))


default_row_broken = blog(add_posts)
default_row_fixed = blog(
    lambda admin: admin.add_view(default_row.fix(db, ModelView, User)(Post, db.session))
)


# The tables are filled through a session that the module keeps. It serves no request,
# but its connection is never given back.

_seeding: t.Any = None


# begin kept-since-start
# A variable of the module keeps the session that fills the tables.
def seed_and_keep() -> None:
    global _seeding
    _seeding = Session(db.engine)  # broken: seeded_at_start
    # end
    seed(_seeding)
    assert _seeding.query(User).count()


def seed_and_close() -> None:
    seed(db.session)
    assert kept_since_start.fix(current_app, db, User)


def add_users(admin: Admin) -> None:
    admin.add_view(ModelView(User, HANDLE))


seeded_at_start_broken = blog(add_users, seed_and_keep)
seeded_at_start_fixed = blog(add_users, seed_and_close)


# A formatter keeps the rows that it has seen: memory grows, and the cache goes on
# giving old rows.

SEEN: dict[t.Any, t.Any] = {}


class FormattedView(ModelView):
    column_searchable_list = ("name",)
    column_formatters: t.Any = {
        "name": lambda view, context, user, name: (
            kept_instance.fix(SEEN, user, db, User).name
        )
    }


# begin kept-rows
# SEEN is a dictionary of the module: it keeps each row.
class CachedView(FormattedView):
    column_formatters = {
        "name": lambda view, context, user, name: str(SEEN.setdefault(user.id, user))
    }
    # end

    def __init__(self, model: t.Any, session: t.Any) -> None:
        SEEN.clear()
        super().__init__(model, session)


row_cache_broken = blog(of_users(CachedView))
row_cache_fixed = blog(of_users(FormattedView))


# A page takes a connection, past all sessions, and keeps it: the pool has a connection
# less, and the database a transaction without end.

COUNT = text("SELECT count(*) FROM user")


class SizeView(BaseView):
    def size(self) -> t.Any:
        return len(connection.fix(db.engine, User)())

    @expose("/")
    def index(self) -> str:
        return f"{self.size()} users"


# begin kept-connection
# The view keeps the connection that it has taken.
class FastSizeView(SizeView):
    connection: t.Any = None

    def size(self) -> t.Any:
        if self.connection is None:
            self.connection = db.engine.connect()  # broken: connection_kept
        return self.connection.execute(COUNT).scalar()


# end


connection_kept_broken = blog(page(FastSizeView))
connection_kept_fixed = blog(page(SizeView))
