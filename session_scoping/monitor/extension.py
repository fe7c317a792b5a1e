"""``Monitor``: a Flask extension that watches sessions and connections."""

import gc
import os
import typing as t
from contextlib import suppress
from weakref import WeakSet

import blinker
import flask
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

from session_scoping.monitor import connections
from session_scoping.monitor import metrics
from session_scoping.monitor import sessions
from session_scoping.monitor import sockets
from session_scoping.monitor import state
from session_scoping.monitor.findings import Finding
from session_scoping.monitor.findings import Findings
from session_scoping.monitor.findings import Source
from session_scoping.monitor.holding import Holding
from session_scoping.monitor.requests import Requests
from session_scoping.monitor.safety import logger
from session_scoping.monitor.settings import read
from session_scoping.monitor.state import App
from session_scoping.watch.hooks import notify_of_births
from session_scoping.watch.keepers import keepers

if t.TYPE_CHECKING:  # an app may have no admin
    from flask_admin import BaseView

NAME = "session_scoping"  # in the extensions of an app
LISTENERS: list[tuple[object, str, t.Callable[..., None]]] = [
    (sa.pool.Pool, "checkout", connections.on_checkout),
    (sa.pool.Pool, "checkin", connections.on_checkin),
    (sa.pool.Pool, "detach", connections.on_detach),
    (Session, "after_begin", sessions.on_begin),
    (Session, "after_transaction_end", sessions.on_end),
    (Session, "after_flush", sessions.on_flush),
    (Session, "after_soft_rollback", sessions.on_rollback),
    (Session, "before_commit", sessions.on_commit),
]
watched: "WeakSet[App]" = WeakSet()  # in this process
_listening = False


class Monitor:
    """Watches the sessions of an app while it serves, and logs each that strays.

    It is a Flask extension like any other: ``Monitor(app)``, or ``init_app`` for each
    app that a factory makes. ``found`` is a signal of ``blinker``, which is sent for
    each new finding with this monitor as its sender.
    """

    def __init__(self, app: flask.Flask | None = None) -> None:
        self.found = blinker.Signal("a new finding of the monitor")
        self._apps: WeakSet[App] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Watch an app. Doing it again has no effect.

        A setting that is wrong is logged in a line, and its default is used. Several
        monitors of an app share what they find.

        :raises TypeError: It is no Flask app.
        """
        if not isinstance(app, flask.Flask):
            raise TypeError(f"a Monitor watches a Flask app, and was given {app!r}")
        if NAME in app.extensions:
            known: App = app.extensions[NAME].app
            if known not in self._apps:
                self._apps.add(known)
                known.findings.reports.append(self._send)
            return
        settings, wrong = read(app.config)
        for line in wrong:
            with suppress(Exception):  # of a handler of the log
                logger().warning("%s", line)
        findings = Findings(settings.json, self._send, state.clock())
        seen = App(app, settings, findings)
        app.extensions[NAME] = Requests(seen, app)
        self._apps.add(seen)
        watched.add(seen)
        _listen()

    @property
    def findings(self) -> list[Source]:
        """What was found so far in the apps of this monitor, each with its count."""
        return [source for app in self._apps for source in app.findings.sources]

    def view(self, base: "type[BaseView] | None" = None, **named: t.Any) -> "BaseView":
        """Return a page for ``Admin.add_view``. It only reads.

        ``base`` is your own class of view, with your ``is_accessible``. The index of
        the admin has to let the user in, too. ``named`` is what ``BaseView`` takes,
        such as ``name`` and ``category``.

        :raises TypeError: ``base`` is no class of view.
        """
        from flask_admin import BaseView
        from session_scoping.monitor.page import view

        if base is not None and not (
            isinstance(base, type) and issubclass(base, BaseView)
        ):
            raise TypeError(f"a view takes a class of view, and was given {base!r}")
        return view(self._apps, base or BaseView, **named)

    def holding(self) -> list[Holding]:
        """Return what holds a connection in this process now, the oldest first."""
        return connections.holding()

    def explain(self) -> list[tuple[Holding, list[str]]]:
        """Return what holds a connection, each with what keeps its session.

        That is the path of references from the app down, or an empty list if none is
        found. It collects garbage and looks at all objects of the process, which may
        take a second: ask for it when something strays, and not in each request.
        """
        gc.collect()
        now = state.clock()
        apps = [known for app in self._apps if (known := app.flask()) is not None]
        admins = [admin for app in apps for admin in app.extensions.get("admin", [])]
        views = [view for admin in admins for view in admin._views]
        held = [
            (taken, session)
            for taken in list(connections.taken_now.values())
            if (session := connections.session_of(taken)) is not None
        ]
        described = [Holding.of(taken, session, now) for taken, session in held]
        # Nothing here but this list must hold them: the search is for other holders.
        targets = [session for _, session in held]
        held.clear()
        session = None
        found = keepers(targets, views)
        return [(each, kept.path) for each, kept in zip(described, found, strict=True)]

    def _send(self, finding: Finding) -> None:
        """Send a finding. A receiver that fails gets the next one all the same."""
        try:
            self.found.send(self, finding=finding)
        except Exception:
            with suppress(Exception):  # of a handler of the log
                logger().exception(
                    "a receiver of the signal `found` has failed; the app is not "
                    "affected"
                )


def _listen() -> None:
    """Listen to the events of SQLAlchemy, once in this process."""
    global _listening
    if not _listening:
        _listening = True
        notify_of_births(sessions.on_birth)
        for listener in LISTENERS:
            event.listen(*listener)
        metrics.register(watched)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forked)


def _forked() -> None:
    """Forget what is the parent process's only."""
    connections.forked()
    sockets.forked()
    for app in watched:
        app.findings.reset_lock()
