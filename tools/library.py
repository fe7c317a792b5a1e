"""The app under fire: an admin of authors and books, on a database of your choice.

``LIBRARY_URL``: the database.  ``LIBRARY_HANDLE``: ``db``, or ``never_removed`` for a
``scoped_session`` that is never removed.  ``LIBRARY_POOL``: the size of the pool.
"""
# mypy: allow-subclassing-any

import os
import typing as t

import flask
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from session_scoping.fixes import close_fails_and_is_kept

db: t.Any = SQLAlchemy()
close_fails_and_is_kept.fix(db)
ROWS = 400  # books to begin with
CHUNKS = 200_000  # of an export, at most
NAP = {"postgresql": "pg_sleep(0.3)", "mysql": "SLEEP(0.3)", "sqlite": "1"}


class Author(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), unique=True, nullable=False)

    def __str__(self) -> str:
        return str(self.name)


class Book(db.Model):
    __table_args__ = (db.CheckConstraint("pages >= 0"),)
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(40), unique=True, nullable=False)
    pages = db.Column(db.Integer, nullable=False)
    author_id = db.Column(db.Integer, db.ForeignKey(Author.id))
    author = db.relationship(Author, lazy="joined")


class AuthorView(ModelView):
    column_searchable_list = ("name",)


class BookView(ModelView):
    column_searchable_list = ("title",)
    column_filters: t.Any = ("pages",)
    column_editable_list: t.Any = ("pages",)
    column_export_list: t.Any = ("title", "pages", "author")
    form_ajax_refs: t.Any = {"author": {"fields": ("name",)}}
    column_details_exclude_list = None
    can_view_details = True
    can_export = True
    export_max_rows = CHUNKS


class SlowView(BaseView):
    """Pages that take long, in the database."""

    session: t.Any

    @expose("/")
    def index(self) -> str:
        nap = NAP[self.session.get_bind().dialect.name]
        self.session.execute(sa.text(f"SELECT {nap}"))
        return "done"

    @expose("/books")
    def stream(self) -> flask.Response:
        """A stream that is longer than a client reads."""

        def rows() -> t.Iterator[str]:
            for number in range(CHUNKS):
                yield f"{number}: {'x' * 1000}\n"

        return flask.Response(flask.stream_with_context(rows()))


def create_app() -> flask.Flask:
    """Make the app, on a database that ``prepare`` has filled."""
    app = flask.Flask("library")
    app.secret_key = "library"
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["LIBRARY_URL"]
    app.config["PROPAGATE_EXCEPTIONS"] = False
    if size := os.environ.get("LIBRARY_POOL"):
        pool = {"pool_size": int(size), "max_overflow": 0, "pool_timeout": 1}
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = pool
    db.init_app(app)
    with app.app_context():
        engine = db.engine
    handle = {
        "db": db,
        "never_removed": orm.scoped_session(orm.sessionmaker(engine)),
    }[os.environ.get("LIBRARY_HANDLE", "db")]
    admin = Admin(app, name="Library")
    slow = SlowView(name="Slow", endpoint="slow")
    slow.session = getattr(handle, "session", handle)
    for view in (AuthorView(Author, handle), BookView(Book, handle), slow):
        admin.add_view(view)
    return app


def prepare(url: str) -> None:
    """Make the tables, and fill them, unless they are filled."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    db.metadata.create_all(engine)
    with orm.Session(engine) as session:
        if not session.query(Author.id).first():
            author = Author(name="Le Guin")
            session.add(author)
            for number in range(ROWS):
                book = Book(title=f"Book {number}", pages=number, author=author)
                session.add(book)
            session.commit()
