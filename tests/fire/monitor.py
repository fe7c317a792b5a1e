"""A look at a database server, from outside of what is tried there."""

import typing as t

import sqlalchemy as sa

from tools.databases import Server

IN_TRANSACTION = {
    "postgresql": "SELECT pid, state, query FROM pg_stat_activity WHERE state LIKE "
    "'idle in transaction%' AND datname = current_database()",
    "mariadb": "SELECT id, trx_state, trx_query FROM information_schema.innodb_trx "
    "JOIN information_schema.processlist ON id = trx_mysql_thread_id "
    "WHERE db = database()",
}
CONNECTIONS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    "mariadb": "SELECT id FROM information_schema.processlist WHERE db = database() "
    "AND id <> connection_id()",
}
KILL = {"postgresql": "SELECT pg_terminate_backend({})", "mariadb": "KILL {}"}


class Monitor:
    """Asks a database server, with a new connection each time."""

    def __init__(self, server: Server, url: str) -> None:
        self.server = server
        self.engine = sa.create_engine(
            url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
        )

    def ask(self, sql: str) -> list[t.Any]:
        with self.engine.connect() as connection:
            found = connection.execute(sa.text(sql))
            return [tuple(row) for row in found] if found.returns_rows else []

    def in_transaction(self) -> list[t.Any]:
        """Return the connections that have a transaction."""
        return self.ask(IN_TRANSACTION[self.server.name])

    def connections(self) -> list[int]:
        """Return all connections but the monitor's own."""
        return [number for (number,) in self.ask(CONNECTIONS[self.server.name])]

    def kill(self) -> int:
        """End every connection.  Returns their number."""
        killed = 0
        for number in self.connections():
            try:
                self.ask(KILL[self.server.name].format(number))
                killed += 1
            except sa.exc.DBAPIError:
                continue  # it has ended by itself
        return killed
