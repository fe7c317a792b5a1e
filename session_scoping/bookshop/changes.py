"""Changes the database past all sessions, and knows what is outdated then."""

import re
import sqlite3
import typing as t
from contextlib import contextmanager

import sqlalchemy as sa

from session_scoping.bookshop.models import Archive
from session_scoping.bookshop.models import Base

TABLES: list[sa.Table] = [
    *Base.metadata.sorted_tables,
    *Archive.metadata.sorted_tables,
]
TEXTS = [  # the columns that are renamed
    column
    for table in TABLES
    for column in table.columns
    if type(column.type) is sa.String
    and not column.primary_key
    and column.name != "kind"  # it names a class
]
VOWELS = str.maketrans("aeiouAEIOU", "eiouaEIOUA")
ADDED = """
    INSERT INTO genre (id, name) VALUES (9, 'poetry');
    INSERT INTO person (id, name, kind) VALUES (9, 'Zelazny', 'person');
    INSERT INTO book (id, title, author_id) VALUES (9, 'Ubik', 9);
    INSERT INTO loan (id, reader) VALUES (0, 'a newcomer')
"""
DELETED = "DELETE FROM genre WHERE id = 3"  # no row refers to it
UNDONE = """
    DELETE FROM loan WHERE id = 0;
    DELETE FROM book WHERE id = 9;
    DELETE FROM person WHERE id = 9;
    DELETE FROM genre WHERE id = 9
"""


def renamed(text: str | None) -> str | None:
    """Return what a text in the database is changed to."""
    return text and text.translate(VOWELS)


class Changes:
    """Renames all rows, adds rows and deletes a row, by a connection of the driver."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.connection.create_function("renamed", 1, renamed)
        self.old: list[str] = []  # while it is changed: the texts that were there

    @contextmanager
    def made(self) -> t.Iterator[None]:
        """Change the database and commit. Undo it at the end.

        Nothing is changed if the session of an earlier request has locked the database.
        """
        rows = {table: self._execute(f"SELECT * FROM {table.name}") for table in TABLES}
        try:
            self._change()
        except sqlite3.OperationalError:
            yield
            return
        try:
            yield
        finally:
            self.old = []
            self._undo(rows)

    def _execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        return self.connection.execute(statement, values).fetchall()

    def _change(self) -> None:
        old = set()
        with self.connection:
            for column in TEXTS:
                table, name = column.table.name, column.name
                old |= {*self._execute(f"SELECT {name} FROM {table}")}
                self._execute(f"UPDATE {table} SET {name} = renamed({name})")
            for statement in f"{DELETED};{ADDED}".split(";"):
                self._execute(statement)
        texts = {str(text) for [text] in old if text is not None}
        self.old = sorted(texts, key=lambda text: (-len(text), text))

    def _undo(self, rows: dict[sa.Table, list[tuple[object, ...]]]) -> None:
        with self.connection:
            for statement in UNDONE.split(";"):
                self._execute(statement)
            for table, values in rows.items():
                marks = ", ".join("?" * len(table.columns))
                replace = f"REPLACE INTO {table.name} VALUES ({marks})"
                self.connection.executemany(replace, values)

    def outdated(self, page: str, *patterns: str) -> str:
        """Return how a page is outdated, or an empty string.

        ``patterns``: of what it has to show, also by the names from before the change.
        """
        for text in self.old:
            if re.search(rf"\b{re.escape(text)}\b", page):
                return f"shows {text!r}, which the database no longer holds"
        for pattern in patterns:
            for text in self.old:
                pattern = pattern.replace(text, str(renamed(text)))
            if not re.search(pattern, page, re.DOTALL):
                return f"does not show {pattern!r}, which is in the database by now"
        return ""
