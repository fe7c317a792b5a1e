"""Statements and commits that are about to be sent to a database."""

import typing as t

import sqlalchemy as sa
from sqlalchemy.orm import Session as SASession

from session_scoping.recording import Deed
from session_scoping.recording import LateCommit
from session_scoping.recording import Place
from session_scoping.recording import Request
from session_scoping.recording import StartupQuery
from session_scoping.recording import Unsolicited
from session_scoping.watch.connections import info_of
from session_scoping.watch.places import Places
from session_scoping.watch.running import Running
from session_scoping.watch.sessions import Sessions
from session_scoping.watch.tape import Tape


class Statements:
    """Counts statements, and records those that Flask-Admin should not send.

    What drives the request sees each statement and commit first, and may raise.
    """

    def __init__(self, tape: Tape, places: Places, sessions: Sessions) -> None:
        self.tape = tape
        self.places = places
        self.sessions = sessions

    def on_statement(
        self,
        connection: sa.engine.Connection,
        cursor: object,
        sql: str,
        parameters: object,
        *_: object,
    ) -> None:
        """Record a statement, and the use of the session that it belongs to."""
        session = self.sessions.of(connection)
        if session is not None and not self.sessions.is_foreign(session):
            self.sessions.use_connection(session, connection)
        running = self.tape.current()
        if session is not None and running is None:
            self.sessions.ask(session, sql, parameters)
        if running is None and self.sessions.is_at_startup():
            self._ask_at_startup(sql)
        if running is not None:
            running.request.statements += 1
            self._ask_again()
            if session is None:
                place = self.places.near()
                if place is not None and place.of_flask_admin:
                    self._note(Deed.PAST_THE_SESSION, running.request, place)

    def _ask_at_startup(self, sql: str) -> None:
        """Record a query. A view or a form may keep the answer."""
        queries = self.tape.recording.startup_queries
        if sql.lstrip()[:6].upper() == "SELECT":
            own = self.places.builds_view()
            if own is not None and all(query.own != own for query in queries):
                queries.append(StartupQuery(own))

    def _ask_again(self) -> None:
        """Record that a request sends a query that was sent at the start."""
        queries = self.tape.recording.startup_queries
        own = self.places.here()[1] if queries else None
        for query in queries:
            query.repeated = query.repeated or query.own == own

    def on_execute(self, cursor: object, sql: str, *arguments: t.Any) -> None:
        """Notify what drives the request, where SQLAlchemy expects an error.

        A statement by which SQLAlchemy gets to know a database is no step of a request.
        Other requests wait for it.
        """
        running, context = self.tape.current(), arguments[-1]
        known = info_of(context.root_connection.connection) is not None
        if known and running is not None and running.drive is not None:
            running.drive.step(running.request, sql, context.dialect)

    def on_commit(self, connection: sa.engine.Connection) -> None:
        """Record an unsolicited commit of a connection."""
        running = self.tape.current()
        if running is None:
            return
        session = self.sessions.of(connection)
        if session is None or not self.sessions.watched(session).session.left_alone:
            self._check_commit(running)
        if running.drive is not None:
            running.drive.step(running.request, "COMMIT", connection.dialect)

    def on_error(self, context: t.Any) -> None:
        """Record a commit of the app that failed."""
        running = self.tape.current()
        if running is not None:
            request = running.request
            line = self.places.commits()
            request.commit_failed_at = request.commit_failed_at or line

    def on_session_commit(self, session: SASession) -> None:
        """Record a commit after the view has answered, and an unsolicited commit.

        The end of a savepoint is no commit.
        """
        running, watched = self.tape.current(), self.sessions.marked(session)
        if running is None or watched is None or session.in_nested_transaction():
            return
        if not watched.session.left_alone:
            self._check_commit(running)
        if (
            running.answered
            and not running.request.ended
            and watched.running is running
            and not watched.late
            and not running.streams
        ):
            place, own = self.places.here()
            number = watched.session.number
            late = LateCommit(running.request.number, number, own or place)
            self.tape.recording.late_commits.append(late)

    def on_soft_rollback(self, session: SASession, transaction: object) -> None:
        """Record a flush of the app that failed."""
        running, watched = self.tape.current(), self.sessions.marked(session)
        if running is None or watched is None or watched.session.left_alone:
            return
        request = running.request
        if request.flush_failed_at is None:
            line, by_query = self.places.flushes()
            request.flush_failed_at, request.autoflush_failed = line, by_query

    def _check_commit(self, running: Running) -> None:
        """Record a commit that Flask-Admin makes where it has nothing to save."""
        place = self.places.near()
        if place is not None and place.of_flask_admin and not self.places.is_saving():
            self._note(Deed.COMMIT, running.request, place)

    def _note(self, deed: Deed, request: Request, place: Place) -> None:
        """Record it once: a commit of a session is also a commit of its database."""
        unsolicited = Unsolicited(deed, request.number, place)
        if unsolicited not in self.tape.recording.unsolicited[-1:]:
            self.tape.recording.unsolicited.append(unsolicited)
