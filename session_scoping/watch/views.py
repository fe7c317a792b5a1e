"""The admin's views, by number."""

import threading
import typing as t
from inspect import getattr_static
from weakref import ref

import flask
from sqlalchemy.orm import Session as SASession

from session_scoping.recording import View
from session_scoping.watch.kinds import is_a
from session_scoping.watch.places import place_of
from session_scoping.watch.sessions import Sessions
from session_scoping.watch.tape import Tape


class AdminView(t.Protocol):
    """What is used of a view. Flask-Admin's own classes have no types.

    Only a view of a model has ``session`` and ``model``, and an app may make properties
    of them that need a request.
    """

    endpoint: str
    session: object
    model: type


class Views:
    """Numbers the views of all apps, and records the handle that each was given.

    Code that drives an admin uses the numbers, too.
    """

    def __init__(self, tape: Tape, sessions: Sessions) -> None:
        self.tape = tape
        self.sessions = sessions
        # Not that of the tape: code of the app may run while a view is recorded.
        self._lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Forget all views."""
        self.known: list[AdminView] = []
        self._apps: dict[flask.Flask, dict[str, int]] = {}

    def learn(self, app: flask.Flask) -> dict[str, int]:
        """Record an app's admin views. Returns their numbers by endpoint."""
        with self._lock:
            known = self._apps.get(app)
            if known is None:
                known = self._apps[app] = {}
                recording = self.tape.recording
                recording.app = recording.app or app.import_name
                for admin in app.extensions.get("admin", []):
                    for view in admin._views:
                        known[view.endpoint] = len(self.known)
                        self.known.append(view)
                        recording.views.append(self._record(view))
        return known

    def _record(self, view: AdminView) -> View:
        kind = type(view)
        seen = View(kind.__name__, view.endpoint)
        handle, model = _handle(view), _model(view)
        if model is not None and handle is not None:
            seen.model = model.__name__
            seen.handle = f"{type(handle).__module__}.{type(handle).__qualname__}"
        if is_a(handle, SASession):
            seen.session = self.sessions.number(handle)
            self.sessions.handles.append(
                ref(handle)
            )  # the recorder must not keep a session
        else:
            self.sessions.handles.append(lambda: handle)
        return seen

    def check_handles(self) -> None:
        """Record which views no longer hold the handle that they held at first."""
        with self._lock:
            handles, views = self.sessions.handles, self.tape.recording.views
            all_views = list(zip(self.known, handles, views, strict=True))
        for view, handle, seen in all_views:
            now = _handle(view)
            gone = seen.session is not None and now is None
            seen.replaced = gone or now is not handle()
            if seen.replaced or seen.session is not None:
                seen.place = place_of(type(view))


def _handle(view: AdminView) -> object:
    """Return what a view holds as its ``session``.

    A property is a handle itself: it is asked each time, and may open a session.
    """
    return getattr_static(view, "session", None)


def _model(view: AdminView) -> type | None:
    """Return the model of a view, or ``None``. A property may need a request."""
    try:
        model = getattr(view, "model", None)
    except Exception:
        return None
    return model if is_a(model, type) else None
