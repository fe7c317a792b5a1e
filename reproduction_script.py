# /// script
# requires-python = ">=3.10"
# dependencies = ["flask-admin", "flask-sqlalchemy"]
# ///
"""Watch which SQLAlchemy session serves which request of a Flask-Admin list.

The script makes the same requests twice.  First the view is given a handle, as in
Flask-Admin's documentation: an object that gives each request its session.  Then it is
given a session, to show what "one session for the lifetime of the app" looks like.

Exit status: 0 if the three claims hold with the handle, 1 if a claim does not hold, 2
if the arguments are wrong, a package is missing or the list does not open.
"""

import argparse
import os
import signal
import sys
import typing as t
import warnings
from contextlib import contextmanager
from contextlib import suppress
from importlib import import_module
from string import ascii_uppercase

HANDLES = {
    "db": ("flask_sqlalchemy", "Flask-SQLAlchemy's db"),
    "db.session": ("flask_sqlalchemy", "Flask-SQLAlchemy's db.session"),
    "lite": ("flask_sqlalchemy_lite", "Flask-SQLAlchemy-Lite's db"),
    "scoped_session": ("sqlalchemy", "a plain scoped_session"),
}
NEVER = "a name that nobody committed"


def refuse(why: str) -> t.NoReturn:
    print(f"reproduction_script.py: {why}", file=sys.stderr)
    raise SystemExit(2)


def needed(package: str) -> t.Any:
    try:
        module = import_module(package)
    except ModuleNotFoundError as error:
        package = str(error.name)
    else:
        # Without Flask-Admin, the folder flask_admin/ beside this script is imported.
        if module.__file__ is not None:
            return module
    name = package.partition(".")[0].replace("_", "-")
    refuse(f"{name} is not installed: pip install {name}")


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> t.NoReturn:
        refuse(f"{message}; see --help")


class Bookshop:
    """A real app with a real admin list, and the sessions that its requests used."""

    def __init__(self, handle: str, raw: bool = False) -> None:
        flask = needed("flask")
        sa, orm = needed("sqlalchemy"), needed("sqlalchemy.orm")
        flask_admin = needed("flask_admin")
        try:
            ModelView = import_module("flask_admin.contrib.sqla").ModelView
        except ImportError as error:
            refuse(
                f"Flask-Admin does not import: {error}: pip install flask-sqlalchemy"
            )

        models = orm.registry()

        @models.mapped
        class Author:
            __tablename__ = "author"
            id = sa.Column(sa.Integer, primary_key=True)
            name = sa.Column(sa.String(40))

        class AuthorView(ModelView):  # type: ignore[misc, valid-type]
            def get_list(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
                count, authors = super().get_list(*args, **kwargs)
                # The sessions are kept, so that `is` compares them.  Their `id()` would
                # not do: Python reuses it.
                used = orm.object_session(authors[0])
                if not any(used is kept for kept in shop.sessions):
                    shop.sessions.append(used)
                [shop.served] = [
                    index for index, kept in enumerate(shop.sessions) if kept is used
                ]
                if "change" in flask.request.args:
                    authors[0].name = NEVER
                    used.flush()
                return count, authors

        shop = self
        self.sessions: list[t.Any] = []
        self.served = -1
        self.app = flask.Flask("bookshop")
        self.app.secret_key = "not used here"
        given, engine = give(handle, self.app)
        self.engine = engine
        with self.app.app_context(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.view = AuthorView(Author, given, endpoint="author")
        if raw:
            # Newer releases refuse ModelView(Author, Session()) when Lite is installed.
            self.view.session = orm.Session(engine)
        flask_admin.Admin(self.app).add_view(self.view)
        models.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(Author).values(name="Ursula K. Le Guin"))

    def request(self, query: str = "") -> tuple[int, str]:
        """Request the list.  Return the number of its session, and the page."""
        response = self.app.test_client().get(f"/admin/author/{query}")
        if response.status_code != 200:
            refuse(f"the list answered {response.status}")
        return self.served, response.get_data(as_text=True)


def give(handle: str, app: t.Any) -> tuple[t.Any, t.Any]:
    """Set up a handle for an app.  Return what a view is given, and the engine."""
    if handle == "scoped_session":
        pool, orm = needed("sqlalchemy.pool"), needed("sqlalchemy.orm")
        engine = needed("sqlalchemy").create_engine(
            "sqlite://", poolclass=pool.StaticPool
        )
        session = orm.scoped_session(orm.sessionmaker(engine))
        app.teardown_appcontext(lambda error: session.remove())
        return session, engine
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    app.config["SQLALCHEMY_ENGINES"] = {"default": "sqlite://"}
    db = needed(HANDLES[handle][0]).SQLAlchemy(app)
    with app.app_context():
        return (db.session if handle == "db.session" else db), db.engine


@contextmanager
def opened(handle: str, raw: bool = False) -> t.Iterator[Bookshop]:
    shop = Bookshop(handle, raw)
    try:
        yield shop
    finally:
        for session in shop.sessions:
            session.close()
        shop.engine.dispose()


def name_of(session: int) -> str:
    """Return A, B … Z, and then A2, B2 …"""
    again, letter = divmod(session, len(ascii_uppercase))
    return ascii_uppercase[letter] + (str(again + 1) if again else "")


def picture(served: t.Sequence[int], good: bool) -> str:
    """Return a drawing: requests across, sessions down, a bar for each use."""
    width = 5 if len(served) <= 10 else len(str(len(served)))
    bar = "█" * width
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        bar = f"\033[{32 if good else 31}m{bar}\033[0m"
    numbers = [f"{number:^{width}}" for number in range(1, len(served) + 1)]
    lines = [f"       request    {' '.join(numbers)}"]
    for session in sorted(set(served)):
        bars = [bar if session == one else f"{'·':^{width}}" for one in served]
        lines.append(f"       session {name_of(session):<3}{' '.join(bars)}")
    return "\n".join(line.rstrip() for line in lines)


def watch(handle: str, requests: int, raw: bool = False) -> bool:
    """Make the requests, print the three claims, and return whether they all hold."""
    with opened(handle, raw) as shop:
        held = shop.view.session
        served = [shop.request()[0] for _ in range(requests)]
        kept = shop.view.session is held and not raw
        kind = f"{type(held).__module__}.{type(held).__name__}"
        print(f"    1. The view keeps {'a session' if raw else 'its handle'}: {kind}")
        sessions = len(set(served))
        plural = "" if sessions == 1 else "s"
        print(f"    2. {requests} requests have {sessions} session{plural}:")
        shop.request("?change=1")
        _, page = shop.request()
        alone = NEVER not in page
        good = kept and sessions == requests and alone
        print(picture(served, good))
        sees = "does not see" if alone else "SEES"
        print(f"    3. The next request {sees} a change that was not committed.")
    return good


def takes_db() -> bool:
    """Return whether this Flask-Admin takes ``db``, as it does since 2.1."""
    major, minor = needed("flask_admin").__version__.split(".")[:2]
    return (int(major), int(minor)) >= (2, 1)


def at_least_two(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 2 upwards")
    return int(text)


def main() -> int:
    parser = Parser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument(
        "--handle",
        choices=HANDLES,
        help="what the view is given (default: db, or db.session before 2.1)",
    )
    parser.add_argument(
        "--requests",
        type=at_least_two,
        default=3,
        metavar="N",
        help="how many requests to make (default: %(default)s)",
    )
    options = parser.parse_args()
    handle = options.handle or ("db" if takes_db() else "db.session")
    if handle in ("db", "lite") and not takes_db():
        refuse(f"Flask-Admin takes {handle} since 2.1: try --handle db.session")
    package, description = HANDLES[handle]
    needed(package)
    print(f"With a handle, {description}:")
    good = watch(handle, options.requests)
    print("\nWith a raw session instead, ModelView(Author, Session()):")
    watch(handle, options.requests, raw=True)
    if good:
        print("\nThe view keeps its handle, and each request has a session of its own.")
    else:
        print("\nWith this handle a claim does NOT hold: see above.")
    return 0 if good else 1


def interrupted(*_: object) -> t.NoReturn:
    """End the process with one line, whatever runs."""
    with suppress(Exception):  # it may be written to at this moment
        sys.stdout.flush()
    os.write(2, b"reproduction_script.py: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupted)
    sys.exit(main())
