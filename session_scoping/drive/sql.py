"""What a statement does, by its words: may it write, does it lock, can it be undone?

A statement that may write decides what is noted and where requests overtake. That a
reading request writes nothing does not depend on it: see ``dry_run``.
"""

import re
import typing as t

FLAGS = re.IGNORECASE | re.DOTALL
# Words in quotes and comments do nothing. MySQL executes the text of /*! … */.
INERT = re.compile(
    r"'[^']*'|\"[^\"]*\"|`[^`]*`|(\$\w*\$).*?\1|/\*(?!M?!).*?\*/|--[^\n]*", FLAGS
)
READS = re.compile(
    r"\W*(SELECT|WITH|VALUES|TABLE|SHOW|DESC|DESCRIBE|EXPLAIN|PRAGMA|SET|USE"
    r"|BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|XA"
    r"|DECLARE|FETCH|MOVE|CLOSE|LISTEN|UNLISTEN|DEALLOCATE|DISCARD|RESET)\b",
    FLAGS,
)
# What writes although the statement begins as one that reads: SELECT … INTO, WITH …
# INSERT INTO, EXPLAIN ANALYZE DELETE, and a pragma with its value in the file.
WRITES_YET = re.compile(
    r"\W*(?:(?:SELECT|WITH|VALUES|TABLE)\b.*(?:\bINTO\b|[()]\s*(?:UPDATE|DELETE)\b)"
    r"|EXPLAIN\b.*\bANALY[SZ]E\b.*\b(?:INSERT|UPDATE|DELETE|MERGE|CREATE|REFRESH)\b"
    r"|PRAGMA\s+(?:\w+\s*\.\s*)?(?:(?:user_version|application_id|schema_version"
    r"|journal_mode|auto_vacuum|encoding|page_size|default_cache_size)\s*[=(]"
    r"|incremental_vacuum|optimize))",
    FLAGS,
)
LOCKS = re.compile(
    r"\b(BEGIN\s+(IMMEDIATE|EXCLUSIVE)|LOCK\s+TABLES?|FOR\s+(NO\s+KEY\s+)?UPDATE"
    r"|FOR\s+(KEY\s+)?SHARE|SHARE\s+MODE)\b",
    re.IGNORECASE,
)

# What ends a transaction by itself, or is not undone with it. The database itself
# refuses more, such as VACUUM in a transaction of PostgreSQL.
SQLITE = re.compile(r"\W*(COMMIT|END|VACUUM|ATTACH)\b", FLAGS)
POSTGRESQL = re.compile(
    r"\W*(COMMIT|END|PREPARE\s+TRANSACTION|ROLLBACK\s+PREPARED|ALTER\s+SYSTEM|COPY"
    r"|VACUUM|CLUSTER|REINDEX|CHECKPOINT|NOTIFY|DISCARD|RESET\s+ALL"
    r"|(SET|BEGIN|START)\b.*(READ\s+WRITE|read_only))\b",
    FLAGS,
)
# Nearly everything else commits implicitly in MySQL and MariaDB.
MYSQL_UNDOES = re.compile(
    r"\W*(SELECT|WITH|VALUES|TABLE|INSERT|REPLACE|UPDATE|DELETE|SHOW|DESC|DESCRIBE"
    r"|EXPLAIN|USE|DO|SAVEPOINT|RELEASE|ROLLBACK|(CREATE|DROP)\s+TEMPORARY"
    r"|XA\s+(BEGIN|START|END|ROLLBACK|RECOVER)"
    r"|SET\b(?!.*(GLOBAL|PERSIST|PASSWORD|AUTOCOMMIT|STATEMENT|DEFAULT\s+ROLE"
    r"|READ\s+WRITE|READ_ONLY)))\b"
    r"(?!.*\b(OUTFILE|DUMPFILE)\b)",
    FLAGS,
)


def parts(sql: str) -> list[str]:
    """Return the statements in a string, without what is in quotes and comments."""
    return [part for part in INERT.sub(" ", sql).split(";") if part.strip()]


def may_write(sql: str) -> bool:
    """Could a statement write? Yes, if it is not known to only read."""
    return any(
        not READS.match(part) or bool(WRITES_YET.match(part)) for part in parts(sql)
    )


def takes_lock(sql: str) -> bool:
    """Does a statement take a lock by which other requests have to wait?"""
    return may_write(sql) or any(map(LOCKS.search, parts(sql)))


def is_undone(sql: str, dialect: str) -> bool:
    """Does a rollback undo all that a statement does?

    ``dialect``: SQLAlchemy's name of the database. In another database than SQLite,
    PostgreSQL, MySQL and MariaDB no statement that may write counts as undone.
    """
    # Where a backslash may escape a quote, INERT may hide too much.
    found = parts(sql) + (sql.split(";") if "\\" in sql else [])
    return all(map(UNDONE.get(dialect, _reads), filter(str.strip, found)))


def _reads(sql: str) -> bool:
    return not may_write(sql)


UNDONE: dict[str, t.Callable[[str], object]] = {
    "sqlite": lambda sql: not SQLITE.match(sql),
    "postgresql": lambda sql: not POSTGRESQL.match(sql),
    "mysql": MYSQL_UNDOES.match,
    "mariadb": MYSQL_UNDOES.match,
}
