"""A script that makes an example app and serves it, as ``python app.py`` does.

``python -m tests.monitored_script werkzeug NAME`` makes a few requests of the app, and
prints the lines that the monitor has reported.
"""

import itertools
import json
import os
import socket
import sys
import threading

import flask
from werkzeug.serving import make_server

from session_scoping.monitor import state
from tests.monitored import load
from tests.monitored import watch_each_app

REQUEST = b"GET /admin/user/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def main(serve: str, name: str) -> None:
    # Each look at the clock is ten seconds later.
    state.clock = itertools.count(0.0, 10.0).__next__
    monitors = watch_each_app()
    app: flask.Flask = load(f"tests.apps.kept:{name}")()
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]

    def ask() -> None:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as asking:
                asking.sendall(REQUEST)
                # The server closes the connection when the request has ended.
                while asking.recv(65536):
                    pass
        found = [source for monitor in monitors for source in monitor.findings]
        print(json.dumps([source.finding.line for source in found]), flush=True)
        os._exit(0)  # the server does not end

    if serve == "fork" and os.fork():  # as `gunicorn --preload` serves
        os.wait()
        return
    threading.Thread(target=ask, daemon=True).start()
    if serve == "waitress":
        import waitress  # `make test` has none

        waitress.serve(app, sockets=[listening])
    else:
        make_server("127.0.0.1", port, app, fd=listening.fileno()).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
