"""What outlives its request: sessions, and the instances that they loaded."""

import gc
import typing as t
from contextlib import contextmanager
from weakref import ref

from sqlalchemy.orm import Session as SASession

from session_scoping.recording import KeptInstance
from session_scoping.recording import STATEMENT
from session_scoping.watch.keepers import keepers
from session_scoping.watch.running import Running
from session_scoping.watch.tape import Tape

MOST_EXPLAINED = 100  # instances to find the keepers of
DROP_AFTER = 200  # weak references to collect before the dead are dropped
YOUNG = 300_000  # new objects, after which Python collects garbage all the same


@contextmanager
def stay_young() -> t.Iterator[None]:
    """Keep new objects in Python's youngest generation, in a ``with`` block.

    To collect their garbage it is enough to look at them. A full collection looks at
    every object of the process: that takes longer than most tests.
    """
    before = gc.get_threshold()
    gc.set_threshold(YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Loaded(t.NamedTuple):
    """The instances that a session held when it was closed."""

    running: Running | None  # ``None``: the app was being built
    session: int
    instances: "list[ref[object]]"


class Kept:
    """Finds the sessions and instances that are still alive at the end.

    Until then it refers to them weakly, and drops those that are dead.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.clear()

    def clear(self) -> None:
        """Forget all sessions and instances."""
        self.living: list[tuple[int, ref[SASession]]] = []
        self._loaded: list[Loaded] = []

    def add_session(self, number: int, session: SASession) -> None:
        """Watch a session, which has this number in the recording."""
        self.living.append((number, ref(session)))
        if len(self.living) > DROP_AFTER:
            self._drop_dead()

    def add_instances(
        self, running: Running | None, number: int, session: SASession
    ) -> None:
        """Watch the instances of a session, which ``running`` used last.

        ``running`` is ``None`` if the session was used while the app was built. Of a
        request inside an outer app context nothing is watched: that context keeps it.
        """
        if running is not None and running.request.outer_context:
            return
        instances = [ref(instance) for instance in session.identity_map.values()]
        if instances:
            self._loaded.append(Loaded(running, number, instances))
        if len(self._loaded) > DROP_AFTER:
            self._drop_dead()

    def find(self, views: t.Sequence[object]) -> None:
        """Record what is still alive after garbage collection, and what keeps it.

        ``views``: objects of the app that a path to what is kept may begin at. What was
        found is not watched any longer.
        """
        recording = self.tape.recording
        used: dict[bool, set[int]] = {False: set(), True: set()}
        for seen in recording.requests:
            used[seen.outer_context].update(use.session for use in seen.uses)
        kept_by_context = used[True] - used[False]
        self.living = [
            entry
            for entry in self.living
            if entry[0] not in kept_by_context and self._matters(entry[0], used[False])
        ]
        for generation in range(3):
            self._drop_dead()
            if not self.living and not self._loaded:
                return
            gc.collect(generation)
        self._drop_dead()
        alive = [entry for entry in self.living if entry[1]() is not None]
        loaded = [
            (batch, instance)
            for batch in self._loaded
            for instance in batch.instances
            if instance() is not None
        ][:MOST_EXPLAINED]
        # Nothing here but this list must hold them: the search is for other holders.
        targets: list[object] = [reference() for _, reference in alive]
        targets += [instance() for _, instance in loaded]
        names = [type(target).__name__ for target in targets[len(alive) :]]
        found = keepers(targets, views)
        del targets
        for (number, _), (path, view) in zip(alive, found, strict=False):
            session = recording.sessions[number]
            session.kept, session.kept_by, session.keeper = True, path, view
        paths = found[len(alive) :]
        for (batch, _), name, (path, view) in zip(loaded, names, paths, strict=True):
            if path != [STATEMENT]:
                request = batch.running.request.number if batch.running else None
                kept = KeptInstance(name, batch.session, request, path, view)
                recording.kept_instances.append(kept)
        self.clear()

    def _matters(self, number: int, used: set[int]) -> bool:
        """Does it matter what keeps a session? Not if no request has touched it."""
        session = self.tape.recording.sessions[number]
        return (
            number in used
            or session.born_in is not None
            or session.at_startup
            or bool(session.outside)
        )

    def _drop_dead(self) -> None:
        self.living = [entry for entry in self.living if entry[1]() is not None]
        self._loaded = [
            batch
            for batch in self._loaded
            if any(known() is not None for known in batch.instances)
            and not (batch.running and batch.running.held())
        ]
