"""Sessions whose scope is too small or too large, on SQLAlchemy alone."""
# mypy: allow-subclassing-any

import typing as t
from uuid import uuid4

from flask import current_app
from flask import Flask
from flask import g
from flask import request
from sqlalchemy import Column
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.engine import Engine
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from session_scoping.fixes import commits
from session_scoping.fixes import never_closed
from session_scoping.fixes import never_removed
from session_scoping.fixes import raw_session
from session_scoping.fixes import small_scope
from tests.apps.engines import connect

Base: t.Any = declarative_base()


class User(Base):
    __tablename__ = "user"
    id = Column(Integer, primary_key=True)
    name = Column(String(40), unique=True, nullable=False)
    age = Column(Integer)


class UserView(ModelView):
    column_searchable_list = ("name",)
    column_filters = ("age",)
    column_editable_list: t.Any = ("name",)
    can_view_details = True


Build = t.Callable[[Flask, Admin, Engine], None]


def app_with(build: Build) -> t.Callable[[], Flask]:
    """Turn a function that adds handle and views into a function that makes the app."""

    def create_app() -> Flask:
        app = Flask(__name__)
        app.secret_key = "users"
        engine = connect()
        Base.metadata.create_all(engine)
        with Session(engine) as seeding:
            names = "Ada", "Bea", "Cid", "Dan", "Eve", "Fay"
            seeding.add_all(User(name=name, age=10 * len(name)) for name in names)
            seeding.commit()
        admin = Admin(app, name="Users")
        with app.app_context():
            build(app, admin, engine)
        return app

    return create_app


def add_users(admin: Admin, session: t.Any) -> t.Any:
    admin.add_view(UserView(User, session))
    return session


def scoped(engine: Engine, scope: t.Any = None) -> t.Any:
    return scoped_session(sessionmaker(engine), scopefunc=scope)


# A view is given a session and no handle. After an error without a rollback every page
# answers with PendingRollbackError until the app is restarted.


@app_with
def raw_session_given_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    add_users(admin, Session(engine))  # broken: raw_session_given


@app_with
def raw_session_given_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    raw_session.fix(app, admin, engine, User, UserView)


# The teardown closes the scoped_session, which stays in its registry. What a request
# sets on it is still set in the next request.


@app_with
def closed_not_removed_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    session = add_users(admin, scoped(engine))

    @app.teardown_appcontext
    def close_session(error: BaseException | None) -> None:
        session.close()


@app_with
def closed_not_removed_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    never_removed.fix(app, add_users(admin, scoped(engine)))


# The teardown commits: what a view has changed and then given up is saved all the same.


@app_with
def teardown_commits_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    session = add_users(admin, scoped(engine))

    @app.teardown_appcontext
    def end_session(error: BaseException | None) -> None:
        if error is None:
            session.commit()  # broken: teardown_commits
        session.remove()


@app_with
def teardown_commits_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    commits.fix(app, add_users(admin, scoped(engine)))


# The teardown removes the session only if there was no error. After a page has failed,
# the next request of that thread goes on in its transaction.


class AverageView(BaseView):
    session: t.Any

    @expose("/")
    def index(self) -> str:
        old = self.session.query(User).filter(User.age > 99)
        ages = [user.age for user in old]
        return f"{sum(ages) / len(ages)} years"


def add_page(
    admin: Admin, view: t.Any, session: t.Any, of_users: t.Any = None
) -> t.Any:
    page = view(name="Page", endpoint="page")
    page.session = session
    admin.add_view(page)
    return add_users(admin, of_users or session)


@app_with
def teardown_skipped_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    session = add_page(admin, AverageView, scoped(engine))

    # begin removed-without-error
    @app.teardown_appcontext
    def end_session(error: BaseException | None) -> None:
        if error is None:
            session.remove()  # broken: teardown_skipped

    # end


@app_with
def teardown_skipped_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    never_removed.fix(app, add_page(admin, AverageView, scoped(engine)))


# Each call has another scope. "Already attached to session 1 (this is 2)":
# nothing that is edited can be saved.


@app_with
def scope_per_call_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    # begin small-scope
    # Each call has another scope, and so another session.
    session: t.Any = scoped_session(sessionmaker(engine), scopefunc=uuid4)
    admin.add_view(UserView(User, session))
    # end
    never_removed.fix(app, session)


@app_with
def scope_per_call_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    never_removed.fix(app, add_users(admin, small_scope.fix(engine)))


# begin removed-by-some-requests
# A page removes the session when it is done. No other view does.


class TidyView(BaseView):
    session: t.Any

    @expose("/")
    def index(self) -> str:
        number = self.session.query(User).count()
        self.session.remove()  # broken: removed_by_a_page
        return f"{number} users"


# end


@app_with
def removed_by_a_page_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    add_page(admin, TidyView, scoped(engine))


@app_with
def removed_by_a_page_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    never_removed.fix(app, add_page(admin, CountingView, scoped(engine)))


# There are two handles, and a teardown for one of them.


@app_with
def one_of_two_removed_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    session = scoped(engine)
    add_page(admin, CountingView, session, scoped(engine))
    never_removed.fix(app, session)


@app_with
def one_of_two_removed_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    session = add_page(admin, CountingView, scoped(engine))
    never_removed.fix(app, session)


# All requests share a scope, which never ends. Two people at once are in the same
# transaction: either commits, or loses, the other's work.


@app_with
def scope_shared_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    add_users(admin, scoped(engine, lambda: 1))


@app_with
def scope_shared_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    never_removed.fix(app, add_users(admin, scoped(engine)))


# A page requests another page of the same app, which removes the session of both: only
# where it is removed after each request, and not with the app context.


class StatusView(BaseView):
    session: t.Any

    @expose("/")
    def index(self) -> str:
        users = self.session.query(User)
        first = users.first()
        health = current_app.test_client().get("/health")
        number = users.count()  # broken: nested_request
        return f"{health.get_data(as_text=True)}: {number} users since {first.name}"


def add_status(app: Flask, admin: Admin, engine: Engine) -> t.Any:
    session = add_page(admin, StatusView, scoped(engine))

    @app.get("/health")
    def health() -> str:
        return "well" if session.query(User).count() else "empty"

    return session


@app_with
def nested_request_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    session = add_status(app, admin, engine)

    @app.teardown_request
    def remove_session(error: BaseException | None) -> None:
        session.remove()


@app_with
def nested_request_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    never_removed.fix(app, add_status(app, admin, engine))


# A view replaces its handle: it reads and writes with different handles. All requests
# share the view: a request that reads takes the handle from a request that writes.


class SwitchingView(UserView):
    reading: t.Any
    writing: t.Any

    def is_accessible(self) -> bool:
        self.session = self.reading if request.method == "GET" else self.writing
        return True


@app_with
def replaced_handle_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    writing: t.Any = scoped(engine)
    reading: t.Any = scoped_session(sessionmaker(engine, autoflush=False))
    view = SwitchingView(User, writing)
    view.reading, view.writing = reading, writing
    admin.add_view(view)
    never_removed.fix(app, reading)
    never_removed.fix(app, writing)


@app_with
def replaced_handle_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    never_removed.fix(app, add_users(admin, scoped(engine)))


# A handle of the app that makes a session for each attribute. What is added to one is
# not committed by another.


# begin session-each-time
class NewSession:
    """A handle that passes everything on to a new session."""

    def __init__(self, engine: Engine) -> None:
        self.make_session = sessionmaker(engine)

    @property
    def session(self) -> "NewSession":
        """Flask-Admin 2.1 and newer use this attribute."""
        return self

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self.make_session(), name)  # broken: session_each_time


# end


@app_with
def session_each_time_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    add_users(admin, NewSession(engine))


@app_with
def session_each_time_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    raw_session.fix(app, admin, engine, User, UserView)


# A session in g for each request, given to the views by a handle of the app. It is
# never closed: its connection comes back when garbage is collected.


# begin never-closed
class CurrentSession:
    """A handle that passes everything on to the session of the request."""

    def __init__(self, engine: Engine) -> None:
        self.make_session = sessionmaker(engine)

    @property
    def session(self) -> "CurrentSession":
        """Flask-Admin 2.1 and newer use this attribute."""
        return self

    def __getattr__(self, name: str) -> t.Any:
        if "session" not in g:
            g.session = self.make_session()
        return getattr(g.session, name)


# end


@app_with
def unclosed_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    add_users(admin, CurrentSession(engine))


@app_with
def unclosed_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    add_users(admin, CurrentSession(engine))
    never_closed.fix(app)


# A page opens an app context. At its end the teardown removes the session of the
# thread, which the request still uses.


class CountingView(BaseView):
    session: t.Any

    def count(self) -> int:
        return int(self.session.query(User).count())

    @expose("/")
    def index(self) -> str:
        oldest = self.session.query(User).order_by(User.age).first()
        number = self.count()
        return f"{oldest.name}, of {number}: {self.session.query(User).count()}"


class ContextView(CountingView):
    def count(self) -> int:
        with current_app.app_context():  # broken: context_removes
            return super().count()


@app_with
def context_removes_broken(app: Flask, admin: Admin, engine: Engine) -> None:
    never_removed.fix(app, add_page(admin, ContextView, scoped(engine)))


@app_with
def context_removes_fixed(app: Flask, admin: Admin, engine: Engine) -> None:
    never_removed.fix(app, add_page(admin, CountingView, scoped(engine)))
