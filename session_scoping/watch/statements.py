"""Statements and commits that are about to be sent to a database."""

import typing as t

import sqlalchemy as sa
from sqlalchemy.orm import Session as SASession

from session_scoping.recording import Deed
from session_scoping.recording import LateCommit
from session_scoping.recording import Place
from session_scoping.recording import Request
from session_scoping.recording import Unsolicited
from session_scoping.watch.places import Places
from session_scoping.watch.running import Running
from session_scoping.watch.sessions import Sessions
from session_scoping.watch.tape import Tape

# Takes a statement, and raises an exception if it must not be sent.
Refuse = t.Callable[[str], None]


class Statements:
    """Counts statements, and records those that Flask-Admin should not send.

    What drives the request sees each statement and commit first, and may raise.
    """

    def __init__(self, tape: Tape, places: Places, sessions: Sessions) -> None:
        self.tape = tape
        self.places = places
        self.sessions = sessions
        self.refuse: Refuse | None = None  # takes statements that nothing drives

    def on_statement(
        self, connection: sa.engine.Connection, cursor: object, sql: str, *_: object
    ) -> None:
        """Record a statement, and the use of the session that it belongs to."""
        session = self.sessions.of(connection)
        if session is not None:
            self.sessions.use_connection(session, connection)
        running = self.tape.current()
        if running is not None:
            running.request.statements += 1
            if session is None:
                place = self.places.near()
                if place is not None and place.of_flask_admin:
                    self._note(Deed.PAST_THE_SESSION, running.request, place)
            if running.drive is not None:
                running.drive.step(running.request, sql)
                return
        if self.refuse is not None:
            self.refuse(sql)

    def on_commit(self, connection: sa.engine.Connection) -> None:
        """Record an unsolicited commit of a connection."""
        running = self.tape.current()
        if running is None:
            return
        session = self.sessions.of(connection)
        if session is None or not self.sessions.watched(session).session.left_alone:
            self._check_commit(running)
        if running.drive is not None:
            running.drive.step(running.request, "COMMIT")

    def on_session_commit(self, session: SASession) -> None:
        """Record a commit after the view has answered, and an unsolicited commit."""
        running, watched = self.tape.current(), self.sessions.marked(session)
        if running is None or watched is None:
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
