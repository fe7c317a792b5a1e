"""Says what holds a connection, through a socket that the operator names.

Each process of the app has a socket of its own: the name with its number added. Its
thread answers also when every thread of the server waits for a connection.
"""

import atexit
import json
import os
import socket
import threading
import typing as t
from contextlib import suppress
from glob import escape
from glob import glob
from pathlib import Path

from session_scoping.monitor import connections
from session_scoping.monitor.holding import Holding
from session_scoping.monitor.safety import guarded
from session_scoping.monitor.safety import logger
from session_scoping.monitor.safety import off
from session_scoping.monitor.safety import Part

TIMEOUT = 5.0  # seconds to wait for the answer of a process
_serving: dict[str, socket.socket] = {}  # by its path, with the number of the process


class Answer(t.NamedTuple):
    """What holds connections in a process, or ``None`` if it did not say."""

    process: int
    holding: list[Holding] | None


@guarded(Part.SOCKET)
def serve(path: str) -> None:
    """Answer at a path from now on, if this process does not yet."""
    name = f"{path}.{os.getpid()}"
    if name in _serving:
        return
    listening = socket.socket(socket.AF_UNIX)
    if _serving.setdefault(name, listening) is not listening:  # by another thread
        listening.close()
        return
    if Path(name).is_socket():  # of an earlier process with this number
        os.unlink(name)
    try:
        listening.bind(name)
    except OSError as error:  # such as a file that is there
        del _serving[name]
        listening.close()
        off.add(Part.SOCKET)
        logger().warning(
            "no socket can be made at %s (%s): the monitor's part %r is off until the "
            "app is started again; the app is not affected",
            name,
            error.strerror or error,
            str(Part.SOCKET),
        )
        return
    os.chmod(name, 0o600)
    listening.listen()
    threading.Thread(
        target=_answer, args=(listening,), name="session_scoping", daemon=True
    ).start()


def forked() -> None:
    """Leave the sockets to the parent process.

    If this process kept them open, the parent would seem to answer after its end.
    """
    for listening in _serving.values():
        with suppress(OSError):
            listening.close()
    _serving.clear()


@atexit.register
def stop() -> None:
    """Remove the sockets of this process. A fork in C leaves those of its parent."""
    for name, listening in list(_serving.items()):
        if name.endswith(f".{os.getpid()}"):
            del _serving[name]
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)  # wakes the thread
            listening.close()
            Path(name).unlink(missing_ok=True)


@guarded(Part.SOCKET)
def _answer(listening: socket.socket) -> None:
    with listening:  # an error must leave nothing that seems to answer
        while True:
            try:
                asking, _ = listening.accept()
            except OSError:  # it was shut down
                return
            with asking, suppress(OSError):  # of a client that has left
                found = [each.to_json() for each in connections.holding()]
                asking.sendall(json.dumps(found).encode())


def ask(path: str) -> list[Answer]:
    """Ask each process that answers at a path. Removes what dead processes left."""
    answers = []
    for name in sorted(glob(f"{escape(path)}.*")):
        number = name.rpartition(".")[2]
        if not number.isdecimal() or not Path(name).is_socket():
            continue  # it is a file of the user
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(TIMEOUT)
            try:
                asking.connect(name)
                text = b"".join(iter(lambda: asking.recv(65536), b""))
            except ConnectionRefusedError:
                Path(name).unlink(missing_ok=True)
                continue
            except OSError:  # of another user, or too slow
                text = b""
        found = None
        # Nothing, or not all of it, or what another program says.
        with suppress(ValueError, KeyError, TypeError):
            found = [Holding.from_json(each) for each in json.loads(text)]
        answers.append(Answer(int(number), found))
    return answers
