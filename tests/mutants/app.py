"""The app that the guard for one's own app looks at: all the places that ask a handle
for its session, on each kind of handle."""
# mypy: allow-subclassing-any

import typing as t

import flask
import sqlalchemy as sa
from flask_admin.contrib.sqla import ModelView
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from flask_sqlalchemy_lite import SQLAlchemy as Lite
from sqlalchemy import orm

from flask_admin import Admin
from tests.closing import closing

Base: t.Any = orm.declarative_base()


class Named:
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(40), unique=True, nullable=False)

    def __str__(self) -> str:
        return str(self.name)


class Shelf(Named, Base):
    __tablename__ = "shelf"


class Author(Named, Base):
    __tablename__ = "author"


class Book(Named, Base):
    __tablename__ = "book"
    shelf_id: t.Any = sa.Column(sa.ForeignKey(Shelf.id))
    shelf = orm.relationship(Shelf)
    author_id: t.Any = sa.Column(sa.ForeignKey(Author.id))
    author = orm.relationship(Author)
    notes = orm.relationship("Note", back_populates="book", cascade="all")


class Note(Base):
    __tablename__ = "note"
    id = sa.Column(sa.Integer, primary_key=True)
    text = sa.Column(sa.String(40))
    book_id: t.Any = sa.Column(sa.ForeignKey(Book.id))
    book = orm.relationship(Book, back_populates="notes")


class BookView(ModelView):
    column_list = ("name", "author")
    column_sortable_list: t.Any = ("name",)
    column_filters: t.Any = ("name",)
    column_editable_list: t.Any = ("name",)
    column_searchable_list = ("name",)
    form_columns = ("name", "shelf", "author", "notes")
    form_ajax_refs: t.Any = {"author": {"fields": ("name",)}}
    inline_models: t.Any = (Note,)
    can_view_details = True
    can_export = True

    def get_one(self, id: t.Any) -> t.Any:
        return super().get_one(id) or flask.abort(404)


def flask_sqlalchemy(app: flask.Flask, url: str) -> t.Any:
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    return SQLAlchemy(app, session_options={"class_": closing(FlaskSession)})


def lite(app: flask.Flask, url: str) -> t.Any:
    app.config["SQLALCHEMY_ENGINES"] = {"default": url}
    return Lite(app)


def scoped_session(app: flask.Flask, url: str) -> t.Any:
    engine = sa.create_engine(url)
    session = orm.scoped_session(orm.sessionmaker(engine, class_=closing(orm.Session)))
    app.teardown_appcontext(lambda error: session.remove())
    return session


HANDLES: tuple[t.Callable[[flask.Flask, str], t.Any], ...] = (
    flask_sqlalchemy,
    lite,
    scoped_session,
)


def create_app(
    make_handle: t.Callable[[flask.Flask, str], t.Any], url: str
) -> flask.Flask:
    """An app on a database that is made here."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(Shelf), [{"name": "high"}])
        connection.execute(sa.insert(Author), [{"name": "Le Guin"}])
        books = [{"name": "Dune", "author_id": 1}, {"name": "Solaris", "shelf_id": 1}]
        connection.execute(sa.insert(Book), books[:1])
        connection.execute(sa.insert(Book), books[1:])
    app = flask.Flask("mutants")
    app.secret_key = "mutants"
    app.config["PROPAGATE_EXCEPTIONS"] = False
    handle = make_handle(app, url)
    with app.app_context():
        Admin(app, name="Mutants").add_view(BookView(Book, handle))
    return app
