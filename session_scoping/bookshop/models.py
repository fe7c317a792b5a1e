"""The tables of the bookshop, and the rows that it starts with."""
# mypy: allow-subclassing-any

import enum
import typing as t

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext.associationproxy import association_proxy
from sqlalchemy.ext.hybrid import hybrid_property

ARCHIVE = "archive"  # the second database: a bind of Flask-SQLAlchemy
LOANS = 60  # more than a page
Base: t.Any = orm.declarative_base()
Archive: t.Any = orm.declarative_base(metadata=sa.MetaData(info={"bind_key": ARCHIVE}))


class Named:
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(40), unique=True, nullable=False)

    def __str__(self) -> str:
        return str(self.name)


class Genre(Named, Base):
    """A genre may have a parent: the table is a tree."""

    __tablename__ = "genre"
    parent_id: t.Any = sa.Column(sa.ForeignKey("genre.id"))
    parent = orm.relationship("Genre", remote_side="Genre.id")


class Person(Named, Base):
    __tablename__ = "person"
    kind = sa.Column(sa.String(20))
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "person"}


class Critic(Person):
    """A person, with a row in each of two tables."""

    __tablename__ = "critic"
    id: t.Any = sa.Column(sa.ForeignKey(Person.id), primary_key=True)
    paper = sa.Column(sa.String(40))
    profile = orm.relationship("Profile", back_populates="critic", uselist=False)
    __mapper_args__ = {"polymorphic_identity": "critic"}


class Profile(Base):
    """A critic has one, or none."""

    __tablename__ = "profile"
    id = sa.Column(sa.Integer, primary_key=True)
    motto = sa.Column(sa.String(40))
    critic_id: t.Any = sa.Column(sa.ForeignKey(Critic.id), unique=True)
    critic = orm.relationship(Critic, back_populates="profile")


GENRES = sa.Table(
    "genres_of_books",
    Base.metadata,
    sa.Column("book_id", sa.ForeignKey("book.id"), primary_key=True),
    sa.Column("genre_id", sa.ForeignKey("genre.id"), primary_key=True),
)


class Book(Base):
    __tablename__ = "book"
    id = sa.Column(sa.Integer, primary_key=True)
    __table_args__ = (sa.CheckConstraint("pages > 0"),)
    title = sa.Column(sa.String(40), unique=True, nullable=False)
    pages = sa.Column(sa.Integer)
    author_id: t.Any = sa.Column(sa.ForeignKey(Person.id))
    author = orm.relationship(Person, foreign_keys=author_id, lazy="joined")
    translator_id: t.Any = sa.Column(sa.ForeignKey(Person.id))
    translator = orm.relationship(Person, foreign_keys=translator_id)
    genres = orm.relationship(Genre, secondary=GENRES)
    genre_names = association_proxy("genres", "name")
    reviews = orm.relationship("Review", back_populates="book", cascade="all")

    def __str__(self) -> str:
        return str(self.title)


class Review(Base):
    __tablename__ = "review"
    id = sa.Column(sa.Integer, primary_key=True)
    text = sa.Column(sa.String(40))
    book_id: t.Any = sa.Column(sa.ForeignKey(Book.id))
    book = orm.relationship(Book, back_populates="reviews")
    critic_id: t.Any = sa.Column(sa.ForeignKey(Critic.id))
    critic = orm.relationship(Critic)

    def __str__(self) -> str:
        return str(self.text)


class Cover(enum.Enum):
    hard = "hard"
    soft = "soft"


class Stock(Base):
    """The primary key has two columns."""

    __tablename__ = "stock"
    shelf = sa.Column(sa.String(10), primary_key=True)
    place = sa.Column(sa.Integer, primary_key=True)
    cover: t.Any = sa.Column(sa.Enum(Cover))
    sold = sa.Column(sa.Boolean)
    note = sa.Column(sa.String(40))
    book_id: t.Any = sa.Column(sa.ForeignKey(Book.id))
    book = orm.relationship(Book)

    @hybrid_property
    def label(self) -> t.Any:
        return self.shelf + ": " + self.note


class Loan(Archive):
    __tablename__ = "loan"
    id = sa.Column(sa.Integer, primary_key=True)
    reader = sa.Column(sa.String(40), unique=True, nullable=False)

    def __str__(self) -> str:
        return str(self.reader)


def rows() -> list[t.Any]:
    """Return the rows that the shop starts with.

    The crawler searches for the first word of a list. That word is also the name of a
    person, so that look-ups and filters find rows.
    """
    fiction = Genre(id=1, name="fiction")
    science = Genre(id=2, name="science fiction", parent=fiction)
    satire = Genre(id=3, name="satire")
    herbert = Person(id=1, name="Herbert")
    le_guin = Person(id=2, name="Le Guin")
    pym = Critic(
        id=3, name="Herbert Pym", paper="Gazette", profile=Profile(motto="briefly")
    )
    reviews = [Review(id=1, text="long", critic=pym), Review(id=2, text="terse")]
    dune = Book(id=1, title="Herbert: Dune", pages=412, author=herbert, reviews=reviews)
    lathe = Book(id=2, title="The Lathe", pages=184, author=le_guin)
    solaris = Book(id=3, title="Solaris", pages=204)
    dune.genres = lathe.genres = [fiction, science]
    stock = Stock(
        shelf="Alcove", place=1, cover=Cover.soft, sold=True, note="signed", book=dune
    )
    return [dune, lathe, solaris, stock, satire]


def loans() -> list[t.Any]:
    """Return the rows of the archive."""
    return [
        Loan(id=number, reader=f"reader {number}") for number in range(1, LOANS + 1)
    ]


# A book that cannot be deleted.
KEEP = """
    CREATE TRIGGER keep_solaris BEFORE DELETE ON book WHEN old.id = 3
    BEGIN SELECT RAISE(ABORT, 'constraint: the book is lent'); END
"""
