"""App contexts that the app opens by itself: inside a request, or while it is built."""

import typing as t
from weakref import WeakKeyDictionary

import flask
from flask.ctx import AppContext
from flask.globals import app_ctx
from werkzeug.local import LocalProxy

from session_scoping.recording import Place
from session_scoping.watch.places import Places
from session_scoping.watch.tape import Tape

# Contexts that are pushed to stay, and where. All recorders of the process share it.
PUSHED: "WeakKeyDictionary[AppContext, Place]" = WeakKeyDictionary()


class Contexts:
    """Records where the app opens an app context of its own."""

    def __init__(self, tape: Tape, places: Places) -> None:
        self.tape = tape
        self.places = places

    def on_pushed(self, app: flask.Flask, **_: object) -> None:
        """Record a context that code of the app has opened."""
        running = self.tape.current()
        place, stays = self.places.opens_context()
        if place is None:  # Flask opens the context of a request
            return
        if running is not None:
            running.contexts.append(place)
        elif stays:
            PUSHED[current_context()] = place

    def on_popped(self, app: flask.Flask, **_: object) -> None:
        """Record that a context is left."""
        running = self.tape.current()
        if running is not None and running.contexts:
            running.contexts.pop()


def pushed_at() -> Place | None:
    """Return where the current context was pushed, if it was pushed to stay."""
    return PUSHED.get(current_context())


def current_context() -> AppContext:
    """Return the app context itself, and not Flask's proxy of it."""
    return t.cast("LocalProxy[AppContext]", app_ctx)._get_current_object()
