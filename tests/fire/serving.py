"""Start a real server, send it requests, and load the recordings of its workers."""

import http.client
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from urllib.parse import urlencode

from session_scoping import Recording
from tools.library import prepare

ROOT = Path(__file__).parents[2]
CLIENTS = 16
SERVE = "tests.fire.serve"  # with a recorder inside
GUNICORN = (
    "gunicorn",
    "--graceful-timeout",
    "20",
)
SERVERS: dict[str, tuple[str, ...]] = {
    "werkzeug": ("werkzeug",),
    "waitress": ("waitress",),
    "gunicorn with threads": (*GUNICORN, "--threads", "8"),
    "gunicorn with gevent": (*GUNICORN, "--worker-class", "gevent"),
}


@dataclass
class Serving:
    """A running server."""

    kind: str
    port: int
    folder: Path
    process: "subprocess.Popen[bytes]"
    load: t.Callable[[Path], t.Any] = Recording.load
    recordings: list[t.Any] = field(default_factory=list)  # once it has ended
    answered: int = 0
    change: threading.Condition = field(default_factory=threading.Condition)
    clients: list["Client"] = field(default_factory=list)

    def client(self) -> "Client":
        """Return a new client.  It leaves when the server ends."""
        self.clients.append(Client(self))
        return self.clients[-1]

    def count(self) -> None:
        with self.change:
            self.answered += 1
            self.change.notify_all()

    def wait_for(self, answers: int) -> None:
        """Wait until clients have this number of answers."""
        with self.change:
            assert self.change.wait_for(lambda: self.answered >= answers, timeout=60)

    def reload(self) -> None:
        """Let gunicorn replace its workers."""
        self.process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        """End the server after its last request, and load its recordings."""
        for client in self.clients:
            client.connection.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        files = sorted(self.folder.glob("*.json"))
        self.recordings = [self.load(file) for file in files]


@contextmanager
def serving(
    kind: str,
    url: str,
    workers: int = 1,
    serve: str = SERVE,
    load: t.Callable[[Path], t.Any] = Recording.load,
    **more: str,
) -> t.Iterator[Serving]:
    """Serve the library on a free port.  Its recordings are loaded at the end.

    ``serve`` is the module that serves it, and ``load`` reads what that module saves.
    """
    prepare(url)
    server_name, *arguments = SERVERS[kind]
    with socket.socket() as listening, tempfile.TemporaryDirectory() as folder:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)  # an early client waits
        descriptor = listening.fileno()
        command = [sys.executable, "-W", "ignore", "-m"]
        if server_name == "gunicorn":
            command += [server_name, "--config", f"python:{serve}", *arguments]
            bind = ("--bind", f"fd://{descriptor}", "--workers", str(workers))
            command += [*bind, "--log-level", "error", f"{serve}:create_app()"]
        else:
            command += [serve, server_name, str(descriptor), folder]
        environment = {"LIBRARY_URL": url, "SERVE_FOLDER": folder, **more}
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            pass_fds=[descriptor],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port = listening.getsockname()[1]
        server = Serving(kind, port, Path(folder), process, load)
        listening.close()  # or clients of a dead server would wait
        try:
            yield server
        finally:
            if process.poll() is None:
                server.end()
            process.kill()
            process.wait()


class Client:
    """A person with a browser, which keeps its connection."""

    def __init__(self, server: Serving) -> None:
        self.server = server
        host = "127.0.0.1"
        self.connection = http.client.HTTPConnection(host, server.port, timeout=60)
        self.answers: list[int] = []  # 0: there was none

    def get(self, path: str) -> str:
        return self._request("GET", path)

    def post(self, path: str, **form: object) -> str:
        return self._request("POST", path, urlencode(form, doseq=True))

    def _request(self, method: str, path: str, body: str | None = None) -> str:
        """Return the page, or nothing when the connection breaks."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            self.connection.request(method, f"/admin/{path}", body, headers)
            response = self.connection.getresponse()
            page = response.read().decode()
        except (http.client.HTTPException, OSError):
            self.connection.close()
            self.answers.append(0)
            return ""
        finally:
            self.server.count()
        self.answers.append(response.status)
        return page

    def leave(self, request: bytes, after: int) -> bytes:
        """Send a request, read a part of the answer, and reset the connection."""
        address = "127.0.0.1", self.server.port
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(request)
            seen = b""
            while len(seen) < after:
                chunk = connection.recv(after)
                assert chunk, f"the server has left first, after {seen!r}"
                seen += chunk
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return seen


@dataclass
class Work:
    """The answers to a person, and the rows that they have saved."""

    answers: list[int] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)  # titles that have to be there
    tried: set[str] = field(default_factory=set)  # titles that can be there


def work(server: Serving, person: int, rounds: int) -> Work:
    """Read and write as an editor does, each person other rows."""
    client, done = server.client(), Work()
    for number in range(rounds):
        title = f"p{person:02}n{number:02}"
        client.get("book/")
        client.get(f"book/?search=Book&page={number}")
        done.tried.add(title)
        client.post("book/new/", title=title, pages=number)
        page = client.get(f"book/?search={title}")
        key = re.search(r'name="rowid"[^>]*value="(\d+)"', page)
        client.post("book/new/", title=title, pages=1)  # a duplicate
        client.post("book/new/", title=f"{title}-refused", pages=-1)
        client.get("book/ajax/lookup/?name=author&query=Gu")
        if key is None:
            continue
        client.get(f"book/details/?id={key[1]}")
        client.post("book/ajax/update/", list_form_pk=key[1], pages=number + 1)
        if number % 2:
            client.post("book/delete/", id=key[1])
        else:
            changed = f"{title}-changed"
            client.post(f"book/edit/?id={key[1]}", title=changed, pages=number)
            done.tried.add(changed)
            if client.answers[-1] == 302:
                done.kept.add(changed)
        if number % 4 == 0:
            client.get("book/export/csv/")
    done.answers = client.answers
    return done


@contextmanager
def working(
    server: Serving, rounds: int, people: int = CLIENTS
) -> t.Iterator[list[Work]]:
    """Let people work during the block.  Afterwards the list has their work."""
    done: list[Work] = []
    with ThreadPoolExecutor(people) as pool:
        futures = [
            pool.submit(work, server, person, rounds) for person in range(people)
        ]
        yield done
    done.extend(future.result() for future in futures)
