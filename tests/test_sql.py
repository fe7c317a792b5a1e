"""What a statement does, by its words."""

import pytest

from session_scoping.drive.sql import is_undone
from session_scoping.drive.sql import may_write
from session_scoping.drive.sql import takes_lock

WRITES = [
    "INSERT INTO note VALUES (1)",
    "  -- a remark\n UPDATE note SET id = 1",
    "/* why */ DELETE FROM note",
    "WITH one AS (SELECT 1) INSERT INTO note SELECT * FROM one",
    "WITH one AS (SELECT 1) REPLACE INTO note SELECT * FROM one",
    "WITH x AS (UPDATE t AS n SET id = 1 RETURNING *) SELECT * FROM x",
    "WITH x AS (SELECT 1) DELETE FROM note",
    "PRAGMA user_version = 7",
    "PRAGMA main.user_version(7)",
    "EXPLAIN ANALYZE DELETE FROM note",
    "EXPLAIN (COSTS off, ANALYZE) DELETE FROM note",
    "SELECT * INTO other FROM note",
    "SELECT 1; DELETE FROM note",
    "COMMIT; DROP TABLE note",
    "CREATE TABLE other (id INTEGER)",
    "CALL something()",
    "/*!50000 DROP TABLE note */",
]
READS = [
    "SELECT * FROM note",
    "SELECT 1;",
    "(SELECT 1 LIMIT 1) UNION (SELECT 2 LIMIT 1)",
    "WITH one AS (SELECT 'x) DELETE' AS word) SELECT * FROM one",
    'SELECT "into" FROM note -- INSERT INTO note',
    "SELECT $a$ ; DROP $a$",
    "SELECT * FROM note FOR UPDATE",
    "PRAGMA foreign_keys = ON",
    "PRAGMA table_info(note)",
    "-- a remark\nSELECT 1",
    "SHOW TABLES",
    "EXPLAIN SELECT 1",
    "SET search_path TO a",
    "SAVEPOINT a",
    "COMMIT",
]


@pytest.mark.parametrize("sql", WRITES)
def test_a_statement_can_write(sql: str) -> None:
    assert may_write(sql)
    assert takes_lock(sql)
    assert not is_undone(sql, "a database that is not known")


@pytest.mark.parametrize("sql", READS)
def test_a_statement_only_reads(sql: str) -> None:
    assert not may_write(sql)
    assert is_undone(sql, "a database that is not known")


@pytest.mark.parametrize(
    "sql",
    ["BEGIN IMMEDIATE", "LOCK TABLE note", "SELECT 1 FOR UPDATE", "SELECT 1 FOR SHARE"],
)
def test_a_statement_takes_a_lock(sql: str) -> None:
    assert takes_lock(sql)
    assert not takes_lock("SELECT 'FOR UPDATE'")


UNDONE = {
    "sqlite": [*WRITES[:13], "ROLLBACK", "BEGIN", "SELECT 1;", "DROP TABLE note"],
    "postgresql": [
        *WRITES[:11],
        "ROLLBACK",
        "SELECT CASE WHEN true THEN 1\nEND",
        "TRUNCATE note",
        "SET LOCAL search_path TO a",
        "SELECT ';' || 'COMMIT'",
    ],
    "mariadb": [
        *WRITES[:3],
        "ROLLBACK",
        "SET NAMES utf8",
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "CREATE TEMPORARY TABLE a (id INT)",
        "XA ROLLBACK 'x'",
        r"INSERT INTO note VALUES ('it\'s')",
    ],
}
NOT_UNDONE = {
    "sqlite": ["COMMIT", "-- so\nEND TRANSACTION", "VACUUM", "ATTACH 'x.db' AS x"],
    "postgresql": [
        "commit",
        "SELECT 1; END",
        "PREPARE TRANSACTION 'x'",
        "COMMIT PREPARED 'x'",
        "ROLLBACK PREPARED 'x'",
        "ALTER SYSTEM SET x = 1",
        "COPY note TO '/x'",
        "SET default_transaction_read_only = off",
        "BEGIN READ WRITE",
        "RESET ALL",
        "/* ; */ COMMIT",
        r"SELECT 'a\'; COMMIT; SELECT 'b'",
    ],
    "mysql": [
        "COMMIT",
        "BEGIN",
        "START TRANSACTION",
        "SET GLOBAL max_connections = 7",
        "SET @@GLOBAL.max_connections = 7",
        "SET autocommit = 1",
        "SET SESSION TRANSACTION READ WRITE",
        "SET STATEMENT max_statement_time = 1 FOR DROP TABLE note",
        "CREATE TABLE other (id INT)",
        "TRUNCATE note",
        "CALL something()",
        "LOCK TABLES note WRITE",
        "SELECT 1 INTO OUTFILE '/x'",
        "/*! COMMIT */",
        "/*!50000 DROP TABLE note */",
        "XA PREPARE 'x'",
        "SELECT 1; DROP TABLE note",
        r"SELECT 'it\'s'; DROP TABLE note; SELECT 'x'",
    ],
}


@pytest.mark.parametrize(
    ("dialect", "sql"), [(name, sql) for name, found in UNDONE.items() for sql in found]
)
def test_a_rollback_undoes_a_statement(dialect: str, sql: str) -> None:
    assert is_undone(sql, dialect)


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [(name, sql) for name, found in NOT_UNDONE.items() for sql in found],
)
def test_a_rollback_does_not_undo_a_statement(dialect: str, sql: str) -> None:
    assert not is_undone(sql, dialect)
