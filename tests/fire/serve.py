"""Serve the library from an open socket, with a recorder inside.

``python -m tests.fire.serve KIND FD FOLDER``: KIND is ``werkzeug`` or ``waitress``.  It
writes what it saw into the folder when it is ended.  gunicorn's workers do so by
the hooks below: this module is their configuration, too.
"""

import os
import signal
import socket
import sys
import typing as t
from pathlib import Path

from session_scoping import Recorder
from tools.library import create_app as create_app  # gunicorn asks for it here

recorder = Recorder()


def save(folder: str) -> None:
    """Save the recording of this process."""
    recorder.stop().save(Path(folder) / f"{os.getpid()}.json")


# -------------------------------------------------------------------- gunicorn's hooks


def post_worker_init(worker: t.Any) -> None:
    recorder.start()


def worker_exit(server: object, worker: t.Any) -> None:
    save(os.environ["SERVE_FOLDER"])


# ------------------------------------------------------------------- the other servers


def main(kind: str, descriptor: int, folder: str) -> None:
    recorder.start()
    serve(kind, descriptor, create_app())
    save(folder)


def serve(kind: str, descriptor: int, app: t.Any) -> None:
    """Serve an app until this process is asked to end."""

    def end(*_: object) -> None:
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    try:
        if kind == "werkzeug":
            from werkzeug.serving import make_server

            server: t.Any = make_server(
                "127.0.0.1", 0, app, threaded=True, fd=descriptor
            )
            server.daemon_threads = False  # lets requests finish
            server.serve_forever()
        else:
            import waitress

            listening = socket.socket(fileno=descriptor)
            waitress.serve(app, sockets=[listening], threads=16)
    except SystemExit:
        return


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
