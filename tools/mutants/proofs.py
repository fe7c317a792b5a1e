"""Proofs that a mutant breaks something, by what can be seen of an app without a guard.

``python -m tools.mutants.proofs [NAME…]`` applies each mutant in a process of its own,
uses the bookshop, and prints what goes wrong there. It ends with 1 if that is not what
``PROOFS`` says, or if anything goes wrong without a mutant.
"""

import argparse
import gc
import os
import sys
import tempfile
import threading
import typing as t
import warnings
from collections import defaultdict
from itertools import count
from pathlib import Path
from weakref import ref

import flask
import sqlalchemy as sa
from sqlalchemy.orm import Session

from session_scoping.bookshop.handles import session_of
from session_scoping.bookshop.shop import Bookshop
from session_scoping.bookshop.visits import on_a_thread
from session_scoping.drive.record import quiet
from session_scoping.rules.handles import HANDLES
from session_scoping.watch.recorder import Recorder
from tools.mutants.catalogue import MUTANTS

LEFT = "a connection is not back in the pool"
ALIVE = "a session or a row outlives its request"
SHARED = "a session serves two requests, or a request and a job"
TWO = "a request has two sessions"
NOTE = "a request sees the note of another request"
THREAD = "a session is used on another thread than its request"
CONNECTIONS = "a request has two connections"
SAVED = "a change is saved that was not committed"
NOT_SAVED = "a new row is not saved"
STALE = "a page shows what the database no longer holds"
RAISES = "the response breaks off when it is closed"

PROOFS: dict[str, dict[str, tuple[str, ...]]] = {  # by handle, and by what is seen
    "db": {
        LEFT: (
            "flask sqlalchemy leaves its session when a request is killed",
            "flask sqlalchemy leaves its session to the debugger",
            "flask sqlalchemy tears down a context once",
            "flask sqlalchemy removes its session when the response is closed",
            "only the admin tears down",
            "flask sqlalchemy tears down requests and no contexts",
            "flask sqlalchemy tears down before the app",
        ),
        SHARED: (
            "flask sqlalchemy keeps a session for each user",
            "flask sqlalchemy keeps a session for each address behind a proxy",
            "flask sqlalchemy keeps a session for each worker thread",
            "flask sqlalchemy keeps a session for each blueprint",
            "flask sqlalchemy shares a session between requests of a user",
            "flask sqlalchemy shares a session between requests of a blueprint",
        ),
        TWO: (
            "flask sqlalchemy scopes its session by thread",
            "hooks run in a context of their own",
        ),
        NOTE: (
            "all sessions have one info",
            "flask sqlalchemy keeps a session for each second app",
        ),
        ALIVE: (
            "flask sqlalchemy tears down only its first app",
            "flask sqlalchemy adds a listener for all sessions",
            "a form class keeps what a field has loaded",
            "a view keeps the arguments of its template",
            "a log keeps its records",
        ),
        THREAD: (
            "create: adds its row on a thread of a pool",
            "update: saves its row on a thread of a pool",
            "delete: deletes its row on a thread of a pool",
            "list: formats its cells on a thread of a pool",
            "the delete action deletes each row on a thread",
        ),
        CONNECTIONS: ("the row is read on another connection in autocommit",),
        SAVED: (
            "sessions are in autocommit",
            "the list leaves its connection in autocommit",
        ),
        NOT_SAVED: ("the list leaves its connection read only",),
        RAISES: ("hooks run when the response is closed",),
        STALE: (
            "list: keeps the texts of its cells",
            "export: keeps the texts of its cells",
            "lookup: keeps its labels",
            "a lookup keeps rows that it has taken out of the session",
            "row: kept as a pickle",
            "view: keeps its pages",
            "choices are kept as texts",
            "the list keeps the keys of its rows",
        ),
    },
    "lite": {
        LEFT: (
            "lite leaves its sessions when a request is killed",
            "lite leaves its sessions to the debugger",
            "lite tears down a context once",
        ),
        TWO: ("lite tears down requests and no contexts",),
        SHARED: (
            "lite hands out its sessions again",
            "lite hands out its sessions again in turn",
            "lite keeps its session in a context variable",
        ),
        ALIVE: ("lite tears down only its first app",),
    },
    "scoped_session": {SHARED: ("a scoped session is removed by another thread",)},
}
PAGES = {  # and a pattern of what each has to show after the change
    "bookview/?sort=0": r"List \(4\)",
    "bookview/edit/?id=1": "",
    "bookview/export/csv/": "Ubik",
    "bookview/ajax/lookup/?name=author&query=e": "Zelazny",
    "plainbookview/": r"List \(4\)",
    "plainbookview/edit/?id=1": "Zelazny",
}


class Sight:
    """Uses the bookshop, and notes what goes wrong."""

    def __init__(self, handle: str, folder: Path) -> None:
        self.seen: set[str] = set()
        self.recorder = Recorder()
        self.numbers = count()
        self.users: dict[int, set[object]] = defaultdict(set)  # by number of a session
        self.known: list[tuple[ref[t.Any], int]] = []  # sessions, by number
        self.rows: list[ref[t.Any]] = []
        self.handle = handle
        self.shop = Bookshop(handle, folder)
        self.client = self.shop.app.test_client()
        self.shop.app.before_request(self.before)
        flask.appcontext_tearing_down.connect(self.after, self.shop.app)
        for name in "after_begin", "do_orm_execute", "before_flush":
            sa.event.listen(Session, name, self.on_use)
        sa.event.listen(Session, "loaded_as_persistent", self.on_load)
        with self.shop.app.app_context():
            self.engine: t.Any = session_of(self.shop.handle).get_bind()
        sa.event.listen(self.engine, "checkout", self.on_checkout)

    def before(self) -> None:
        flask.g.number = next(self.numbers)
        flask.g.thread = threading.get_ident()
        do = flask.request.environ.pop("do", None)
        if do is not None:
            do()

    def on_use(self, subject: t.Any, *_: object) -> None:
        session = getattr(subject, "session", subject)
        number = next((n for known, n in self.known if known() is session), None)
        if number is None:
            number = len(self.known)
            self.known.append((ref(session), number))
        number_of_request = flask.g.get("number") if flask.has_app_context() else None
        if number_of_request is None:
            self.users[number].add("a job")
            if not self.visiting:  # the admin has no jobs
                main = threading.current_thread() is threading.main_thread()
                self.seen.add(TWO if main else THREAD)
            return
        self.users[number].add(number_of_request)
        if flask.g.thread != threading.get_ident():
            self.seen.add(THREAD)

    def after(self, sender: object, **_: object) -> None:
        flask.g.pop("number", None)

    def on_load(self, session: Session, row: object) -> None:
        self.rows.append(ref(row))

    def on_checkout(self, *_: object) -> None:
        if flask.has_request_context() and flask.request.method == "GET":
            flask.g.taken = flask.g.get("taken", 0) + 1
            if flask.g.taken > 1 and not self.visiting:
                self.seen.add(CONNECTIONS)

    visiting = False

    def ask(self, path: str, do: t.Any = None, **form: t.Any) -> str:
        method, data = ("POST", form) if form else ("GET", None)
        base = {"do": do} if do else {}
        response = self.client.open(
            f"/admin/{path}", method=method, data=data, environ_overrides=base
        )
        text = ""
        try:
            with response:
                text = response.get_data(as_text=True)
        except Exception as error:
            if "DetachedInstanceError" in type(error).__name__ and form:
                self.seen.add(RAISES)
        return text

    def saved(self, name: str) -> bool:
        query = "SELECT count(*) FROM genre WHERE name = ?"
        return bool(self.shop.watcher.execute(query, (name,)).fetchone()[0])

    def use(self) -> set[str]:
        """Use the admin and the visits. Returns what was seen."""
        for path in PAGES:
            self.ask(path)
        with self.shop.changes.made():
            for path, shows in PAGES.items():
                if self.shop.changes.outdated(self.ask(path), shows):
                    self.seen.add(STALE)
        self.ask("bookview/", do=self.rename)
        if self.saved("careless"):
            self.seen.add(SAVED)
        self.ask("genreview/new/", name="new", parent="1")
        if not self.saved("new"):
            self.seen.add(NOT_SAVED)
        self.ask("genreview/edit/?id=1", name="edited", parent="__None")
        self.ask("criticview/delete/", id="3")
        self.ask("genreview/action/", action="delete", rowid=["2"])
        self.visiting = True
        self.ask("bookview/", do=self.meanwhile)
        with self.recorder:
            scoped_by_context = self.handle != "scoped_session"
            self.shop.visits.visit(self.recorder, scoped_by_context)
            if any(request.dirty_read for request in self.recorder.recording.requests):
                self.seen.add(NOTE)
        gc.collect()
        self.judge()
        return self.seen

    def rename(self) -> None:
        statement = sa.text("UPDATE genre SET name = 'careless' WHERE id = 1")
        session_of(self.shop.handle).execute(statement)

    def read(self) -> None:
        session_of(self.shop.handle).execute(sa.text("SELECT 1"))

    def meanwhile(self) -> None:
        self.read()
        on_a_thread(lambda: self.ask("bookview/"))

    def judge(self) -> None:
        if self.engine.pool.checkedout():
            self.seen.add(LEFT)
        if any(known() is not None for known, _ in self.known):
            self.seen.add(ALIVE)
        if any(row() is not None for row in self.rows):
            self.seen.add(ALIVE)
        if any(len(users) > 1 for users in self.users.values()):
            self.seen.add(SHARED)
        sessions: dict[object, int] = defaultdict(int)
        for users in self.users.values():
            for user in users - {"a job"}:
                sessions[user] += 1
        if any(number > 1 for number in sessions.values()):
            self.seen.add(TWO)


def prove(name: str, handle: str, expected: str) -> bool:
    """Use the bookshop with a mutant. Print what is seen, and return if it is right."""
    if name:
        MUTANTS[name].apply()
    with tempfile.TemporaryDirectory() as folder, quiet():
        seen = Sight(handle, Path(folder)).use()
    right = expected in seen if expected else not seen
    print(
        f"{'right' if right else 'WRONG'}: {name or handle}: "
        f"{', '.join(sorted(seen)) or 'nothing'}"
    )
    return right


def in_a_process(name: str, handle: str, expected: str) -> bool:
    """Do it in a process of its own: a mutant is applied for good."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            status = int(not prove(name, handle, expected))
            sys.stdout.flush()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            status = 1
        os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.mutants.proofs")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    names = {*parser.parse_args().names}
    known = {name for of in PROOFS.values() for some in of.values() for name in some}
    if names - known:
        parser.error(f"no proof is of {', '.join(sorted(names - known))}")
    warnings.simplefilter("ignore")
    right = [in_a_process("", handle, "") for handle in HANDLES]
    for handle, by_sight in PROOFS.items():
        for expected, mutants in by_sight.items():
            chosen = [name for name in mutants if not names or name in names]
            right += [in_a_process(name, handle, expected) for name in chosen]
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
