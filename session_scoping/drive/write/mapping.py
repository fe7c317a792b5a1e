"""Questions about a model's columns and relationships, and names for their types."""

import re
import typing as t
from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy import orm

if t.TYPE_CHECKING:
    Column = sa.Column[t.Any]
    Mapper = orm.Mapper[t.Any]
    Relationship = orm.RelationshipProperty[t.Any]
else:  # in SQLAlchemy 1.4 these classes are not generic
    Column = sa.Column
    Mapper = orm.Mapper
    Relationship = orm.RelationshipProperty


def find_attribute(mapper: Mapper, name: str) -> tuple[Mapper, str]:
    """Return the mapper and the attribute that the field of a form is for.

    ``name``: the name of the field: ``title``, or ``reviews-0-text`` for an attribute
    of an inline child.
    """
    while found := re.fullmatch(r"(\w+)-(?:\d+-)?(.+)", name):
        relationship = mapper.relationships.get(found[1])
        if relationship is None:
            break
        mapper, name = relationship.mapper, found[2]
    return mapper, name


def is_discriminator(mapper: Mapper, column: Column | None) -> bool:
    """Is it the column that holds the class of a row?

    A value that names no class breaks every list that shows the row.
    """
    return column is not None and column is mapper.polymorphic_on


def enumerated(column: Column | None) -> list[str]:
    """Return the only texts that a column takes, or a list of them: names, then values.

    The database may take any other text. Then no session can load the row.
    """
    kind = getattr(column, "type", None)
    kind = getattr(kind, "item_type", kind)
    members = getattr(kind, "enum_class", None) or ()
    return [*getattr(kind, "enums", ()), *(str(member.value) for member in members)]


def changes_chosen_row(relationship: Relationship) -> bool:
    """Would choosing a row change it, or delete it together with the own row?

    So it is where the chosen row holds the foreign key, where a cascade deletes it, and
    where it is allowed to belong to a single row.
    """
    if relationship.direction.name == "ONETOMANY":
        return True
    if relationship.cascade.delete or relationship.cascade.delete_orphan:
        return True
    return any(
        not other.uselist
        and relationship.parent.isa(other.mapper)
        and (
            other.back_populates == relationship.key
            or relationship.back_populates == other.key
        )
        for other in relationship.mapper.relationships
    )


def chosen_tables(mapper: Mapper) -> set[t.Any]:
    """Return the tables whose rows a form of the mapper chooses from."""
    found = {
        relationship.mapper.tables[0]
        for relationship in mapper.relationships
        if is_many_to_many(relationship)
    }
    for table in mapper.tables:
        for key in table.foreign_keys:
            with suppress(sa.exc.NoReferenceError):  # the other table is not known
                found.add(key.column.table)
    return found


def is_many_to_many(relationship: Relationship) -> bool:
    """Do rows of a third table link the rows?"""
    return bool(relationship.direction.name == "MANYTOMANY")


def type_name(column: Column | None) -> str:
    """Return the name of a column's Python type, or an empty string."""
    if column is None:
        return ""
    try:
        return str(column.type.python_type.__name__)
    except (AttributeError, NotImplementedError):  # the type has none
        return ""
