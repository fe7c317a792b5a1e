"""The admin's views, by number."""

import typing as t
from weakref import ref

import flask
from sqlalchemy.orm import Session as SASession

from session_scoping.recording import View
from session_scoping.watch.places import place_of
from session_scoping.watch.sessions import Sessions
from session_scoping.watch.tape import Tape


class AdminView(t.Protocol):
    """What is used of a view of Flask-Admin, whose own classes have no types.

    Only a view of a model has ``session`` and ``model``, and an app may make properties
    of them that need a request: ``attribute`` reads them from any view.
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
        self.clear()

    def clear(self) -> None:
        """Forget all views."""
        self.known: list[AdminView] = []
        self._handles: list[t.Callable[[], object]] = []  # at first, by number
        self._apps: dict[flask.Flask, dict[str, int]] = {}

    def learn(self, app: flask.Flask) -> dict[str, int]:
        """Record an app's admin views. Returns their numbers by endpoint."""
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
        handle, model = attribute(view, "session"), attribute(view, "model")
        if isinstance(model, type) and handle is not None:
            seen.model = model.__name__
            seen.handle = f"{type(handle).__module__}.{type(handle).__qualname__}"
        if isinstance(handle, SASession):
            seen.session = self.sessions.number(handle)
            self._handles.append(ref(handle))  # the recorder must not keep a session
        else:
            self._handles.append(lambda: handle)
        return seen

    def check_handles(self) -> None:
        """Record which views no longer hold the handle that they held at first."""
        for view, handle, seen in zip(
            self.known, self._handles, self.tape.recording.views, strict=True
        ):
            now = attribute(view, "session")
            gone = seen.session is not None and now is None
            seen.replaced = gone or now is not handle()
            if seen.replaced or seen.session is not None:
                seen.place = place_of(type(view))


def attribute(view: AdminView, name: str) -> object:
    """Return an attribute, or ``None`` where it is a property that needs a request."""
    try:
        return getattr(view, name, None)
    except Exception:
        return None
