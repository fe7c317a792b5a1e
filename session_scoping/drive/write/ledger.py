"""The rows of an app's tables: which rows are the guard's own, and what has changed.

A row is the guard's own if a form that the guard posted has inserted it. No other row
is ever deleted. All other differences are reported.
"""

import typing as t
from collections import Counter
from contextlib import contextmanager
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm
from sqlalchemy.exc import SQLAlchemyError

from session_scoping.drive.write.mapping import Mapper
from session_scoping.drive.write.values import ValueMaker
from session_scoping.recording import View
from session_scoping.watch.places import describe
from session_scoping.watch.running import RUNNING

COMPARED = 100_000  # rows of a table; the rows of larger tables are only counted
LISTED = 5  # keys to print


class OwnRow(t.NamedTuple):
    """A row that a posted form has inserted."""

    view: int
    mapper: Mapper
    identity: tuple[t.Any, ...]
    engine: sa.engine.Engine
    key: str  # its primary key, as Flask-Admin writes it

    def keys(self, table: t.Any) -> dict[t.Any, t.Any]:
        """Return the primary key in a table: a row may span several tables."""
        columns = self.mapper.primary_key
        if columns[0].table is not table:
            columns = tuple(table.primary_key.columns)
        return dict(zip(columns, self.identity, strict=True))

    def where(self, table: t.Any) -> t.Any:
        """Return the condition that selects the row in a table."""
        keys = self.keys(table)
        return sa.and_(*(column == value for column, value in keys.items()))


@dataclass
class Expected:
    """The rows that the form which is being posted should insert."""

    view: int
    mapper: Mapper  # of the row
    children: set[Mapper]  # of its inline children, any number of rows
    make_key: t.Callable[[t.Any], str] | None  # ``None``: the values with commas
    most: int = 1  # rows; two if a concurrent request shares its session
    found: list[OwnRow] = field(default_factory=list)  # inserted so far

    def allows(self, mapper: Mapper) -> bool:
        """Should the form insert another row of a mapper?"""
        found = sum(row.mapper.isa(self.mapper) for row in self.found)
        if mapper.isa(self.mapper) and found < self.most:
            return True
        return any(mapper.isa(child) for child in self.children)


class Snapshot(t.NamedTuple):
    """The rows of a table at a moment."""

    number: int
    rows: dict[t.Any, str] | None  # each row by its key; ``None``: too many


class Ledger:
    """Knows which rows existed before, and which are the guard's own."""

    def __init__(self, views: t.Sequence[View], values: ValueMaker) -> None:
        self.views = views
        self.values = values
        self.tables: dict[t.Any, sa.engine.Engine] = {}
        self.before: dict[sa.Table, Snapshot] = {}
        self.own: list[OwnRow] = []
        self.links: Counter[str] = Counter()  # that were removed, by table
        self.marked: set[OwnRow] = set()  # own rows that were seen to hold a marker
        # By table: the views that have inserted other rows than those expected.
        self.unexpected: dict[t.Any, set[str]] = {}
        self.expected: Expected | None = None  # by the form that is being posted

    def open(self) -> None:
        """Remember what the tables hold, and follow what is inserted from now on."""
        for table, engine in self.tables.items():
            try:
                self.before[table] = snapshot(table, engine)
            except SQLAlchemyError:
                continue  # the table does not exist, so nothing can be written into it
        event.listen(orm.Mapper, "after_insert", self._on_insert)

    def close(self) -> list[str]:
        """Remove the own rows that still exist. Returns a line for each difference."""
        event.remove(orm.Mapper, "after_insert", self._on_insert)
        notes = self._remove_own()
        notes += [
            f"{name}: {_rows(number)} that linked deleted rows: removed past the admin"
            for name, number in self.links.items()
        ]
        for table, before in self.before.items():
            try:
                after = snapshot(table, self.tables[table])
            except SQLAlchemyError as error:
                notes.append(f"{table} was not compared: {describe(error)}")
            else:
                notes += self._differences(table, before, after)
        return notes

    def _on_insert(self, mapper: Mapper, connection: t.Any, target: object) -> None:
        """Remember an expected row as an own row, and the view of any other row."""
        running = RUNNING.get()
        if running is None or running.drive is None or not running.drive.writes:
            return
        expected = self.expected
        if expected is None or not expected.allows(mapper):
            view = self.views[running.drive.view].name
            self.unexpected.setdefault(mapper.local_table, set()).add(view)
            return
        identity = tuple(mapper.primary_key_from_instance(target))
        if expected.make_key is not None and mapper.isa(expected.mapper):
            key = expected.make_key(target)
        else:
            key = ",".join(map(str, identity))
        row = OwnRow(expected.view, mapper, identity, connection.engine, key)
        expected.found.append(row)
        self.own.append(row)

    @contextmanager
    def expecting(self, expected: Expected | None) -> t.Iterator[None]:
        """Take the rows that a form inserts for own rows. ``None``: it inserts none."""
        self.expected = expected
        try:
            yield
        finally:
            self.expected = None

    # --------------------------------------------------------------------- own rows

    def rows(self, view: int, mapper: Mapper) -> list[OwnRow]:
        """Return the own rows of a mapper that a view has inserted."""
        return [row for row in self.own if row.view == view and row.mapper.isa(mapper)]

    def first_own(self, expected: Expected) -> OwnRow | None:
        """Return the row that a form has inserted, if it still exists."""
        for row in expected.found:
            if row.mapper.isa(expected.mapper) and row in self.own:
                return row
        return None

    def forget_gone(self) -> None:
        """Forget the own rows that do not exist any more."""
        for row in [row for row in self.own if not self.is_there(row)]:
            self.own.remove(row)
            if not self.content(row):
                self._remove_links(row)

    def is_there(self, row: OwnRow) -> bool:
        """Does the row still exist, and is it not a later row with the same key?"""
        content = self.content(row)
        if self.values.has_marker(content.values()):
            self.marked.add(row)
            return True
        return bool(content) and row not in self.marked and not self.was_there(row)

    def was_there(self, row: OwnRow) -> bool:
        """Did a row with this key exist before, or is that unknown?"""
        table: t.Any = row.mapper.local_table
        seen, keys = self.before.get(table), row.keys(table)
        if seen is None or seen.rows is None:
            return True
        return tuple(_text(keys[c]) for c in table.primary_key.columns) in seen.rows

    def content(self, row: OwnRow) -> dict[str, str]:
        """Return what the database holds of a row, by column."""
        content: dict[str, str] = {}
        with row.engine.connect() as connection:
            for table in row.mapper.tables:
                selected = select_raw(table).where(row.where(table))
                found = connection.execute(selected).first()
                names = (str(column) for column in table.columns)
                content |= dict(zip(names, map(_text, found or ()), strict=False))
        return content

    def some_value(self, column: t.Any) -> t.Any:
        """Return a value of a column that a foreign key refers to, or ``None``."""
        engine = self.tables.get(column.table)
        if engine is None:
            return None
        with engine.connect() as connection:
            return connection.execute(sa.select(column).limit(1)).scalar()

    # ------------------------------------------------------------------ tidying up

    def _remove_own(self) -> list[str]:
        """Remove the own rows that still exist. Returns a line for each table."""
        notes = []
        removed: dict[str, int] = {}
        for row in reversed(self.own):
            name = str(row.mapper.local_table)
            try:
                if self.is_there(row):
                    self.remove(row)
                    removed[name] = removed.get(name, 0) + 1
            except SQLAlchemyError as error:
                notes.append(
                    f"{name}: row {row.key}, which was created to try, is still there: "
                    f"{describe(error)}"
                )
        return notes + [
            f"{name}: {_rows(number)} that the admin did not delete, of those that "
            "were created to try: removed past the admin"
            for name, number in removed.items()
        ]

    def _remove_links(self, row: OwnRow) -> None:
        """Remove what links a deleted row to others: a mass delete leaves it.

        A later row with the same key could not be linked.
        """
        for table, condition in linking(row):
            links = sa.select(sa.func.count()).select_from(table).where(condition)
            with suppress(SQLAlchemyError), row.engine.begin() as connection:
                if number := connection.execute(links).scalar():
                    connection.execute(sa.delete(table).where(condition))
                    self.links[str(table)] += number

    def remove(self, row: OwnRow) -> None:
        """Delete an own row, and its links in other tables, past the admin.

        Raises ``SQLAlchemyError``.
        """
        with row.engine.begin() as connection:
            if row.engine.dialect.name == "postgresql":  # a leaked session may hold it
                connection.execute(sa.text("SET LOCAL lock_timeout = '5s'"))
            for links, condition in linking(row):
                connection.execute(sa.delete(links).where(condition))
            for table in reversed(row.mapper.tables):
                connection.execute(sa.delete(table).where(row.where(table)))

    def _differences(
        self, table: sa.Table, before: Snapshot, after: Snapshot
    ) -> t.Iterator[str]:
        """Yield a line for each way in which a table is not as it was."""
        if before.rows is None or after.rows is None:
            if before.number != after.number:
                yield f"{table} has {after.number} rows, it had {before.number}"
            return
        more = after.rows.keys() - before.rows.keys()
        gone = before.rows.keys() - after.rows.keys()
        common = before.rows.keys() & after.rows.keys()
        changed = {key for key in common if before.rows[key] != after.rows[key]}
        writers = sorted(self.unexpected.get(table, ()))
        by = f", which are left, written by {', '.join(writers)}" if writers else ""
        own = (row for row in self.own if table in row.mapper.tables)
        own_keys = {tuple(map(_text, row.identity)) for row in own}
        if left := more - own_keys:
            yield f"{table} has {_rows(len(left))} more than before{by}: {_keys(left)}"
        if gone:
            yield f"{table} has lost {_rows(len(gone))}: {_keys(gone)}"
        if changed:
            yield f"{table} has {_rows(len(changed))} changed: {_keys(changed)}"


def linking(row: OwnRow) -> t.Iterator[tuple[sa.Table, t.Any]]:
    """Yield the tables that link a row to others, and which rows of them do."""
    values: dict[t.Any, t.Any] = {}
    for table in row.mapper.tables:
        values |= row.keys(table)
    for relationship in row.mapper.relationships:
        links, pairs = relationship.secondary, relationship.synchronize_pairs
        known = all(column in values for column, _ in pairs)
        if isinstance(links, sa.Table) and known:
            yield links, sa.and_(*(link == values[column] for column, link in pairs))


def select_raw(table: t.Any) -> t.Any:
    """Select the rows as the database holds them, without converting the values."""
    nothing = sa.types.NullType()
    return sa.select(*(sa.type_coerce(column, nothing) for column in table.columns))


def snapshot(table: sa.Table, engine: sa.engine.Engine) -> Snapshot:
    """Read the rows of a table. Raises ``SQLAlchemyError``."""
    keys = [n for n, column in enumerate(table.columns) if column.primary_key]
    counted = sa.select(sa.func.count()).select_from(table)
    with engine.connect() as connection:
        number = int(connection.execute(counted).scalar() or 0)
        if number > COMPARED:
            return Snapshot(number, None)
        rows = {}
        for row in connection.execute(select_raw(table)):
            shown = tuple(map(_text, row))
            rows[tuple(shown[n] for n in keys) or shown] = "\0".join(shown)
        return Snapshot(number, rows)


def _text(value: t.Any) -> str:
    return str(bytes(value) if isinstance(value, memoryview) else value)


def _rows(number: int) -> str:
    return f"{number} row" if number == 1 else f"{number} rows"


def _keys(keys: set[t.Any]) -> str:
    ordered = sorted(
        (", ".join(key) for key in keys), key=lambda text: (len(text), text)
    )
    named = ordered[:LISTED]
    more = " …" if len(keys) > LISTED else ""
    return "; ".join(named) + more
