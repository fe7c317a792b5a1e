"""The guard distinguishes the code of the app from Flask-Admin's."""

import gc
import sys
import sysconfig
import threading
import typing as t
from pathlib import Path
from textwrap import dedent
from weakref import ref

import pytest
from flask_sqlalchemy.session import Session

from session_scoping.drive.record import record
from session_scoping.recording import Maker
from session_scoping.recording import Place
from session_scoping.rules.judge import judge
from session_scoping.rules.verdict import Verdict
from session_scoping.watch import places
from session_scoping.watch.hooks import call
from session_scoping.watch.places import Places
from session_scoping.watch.recorder import Recorder
from tests.test_faults import make_app

PACKAGES = sysconfig.get_path("purelib")
OF_APP = {
    "in its folder": ("/srv/pond/views.py", "views"),
    "in a package": (f"{PACKAGES}/pond/views.py", "pond.views"),
}
OF_FLASK_ADMIN = {
    "in a package": (
        f"{PACKAGES}/flask_admin/contrib/sqla/view.py",
        "flask_admin.contrib.sqla.view",
    ),
    "in a checkout": (
        "/srv/fork/flask_admin/contrib/sqla/view.py",
        "flask_admin.contrib.sqla.view",
    ),
}
IMPORTS = """
import flask
import sqlalchemy as sa
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView

def session():
    return flask.current_app.extensions["sqlalchemy"].session
"""


def make_view(code: str, where: tuple[str, str]) -> t.Any:
    """Run code as if it were in a file of a module. Returns its class ``View``."""
    file, module = where
    names: dict[str, t.Any] = {"__name__": module}
    exec(compile(IMPORTS + dedent(code), file, "exec"), names)
    return names["View"]


def verdict_on(folder: Path, code: str, where: tuple[str, str]) -> Verdict:
    url = f"sqlite:///{folder / 'pond.db'}"
    app = make_app(
        url, Session, make_view(code, where)
    )  # without a `close()` of its own
    return judge(record(app))


@pytest.mark.parametrize("where", OF_APP.values(), ids=OF_APP)
def test_the_app_is_allowed_to_close_a_session_after_use(
    tmp_path: Path, where: tuple[str, str]
) -> None:
    code = """
        class View(ModelView):
            @expose("/count")
            def count(self):
                number = session().execute(sa.text("SELECT 1")).scalar()
                session().close()
                return str(number)
    """
    seen = verdict_on(tmp_path, code, where)
    assert "page count" in {request.does for request in seen.recording.requests}
    assert seen.violations == ()


@pytest.mark.parametrize("where", OF_APP.values(), ids=OF_APP)
def test_the_app_is_allowed_to_end_its_own_context(
    tmp_path: Path, where: tuple[str, str]
) -> None:
    """The new context has a session beside that of the request, which goes on."""
    code = """
        class View(ModelView):
            def get_list(self, *args, **more):
                found = super().get_list(*args, **more)
                with flask.current_app._get_current_object().app_context():
                    session().execute(sa.text("SELECT 1"))
                return found
    """
    seen = verdict_on(tmp_path, code, where)
    assert {violation.rule for violation in seen.violations} == {"single"}


CLOSES = """
    class View(ModelView):
        def get_list(self, *args, **more):
            found = super().get_list(*args, **more)
            session().close()
            return found
"""
COMMITS = """
    class View(ModelView):
        def get_list(self, *args, **more):
            found = super().get_list(*args, **more)
            session().commit()
            return found
"""
COMMITS_BENEATH = """
    class View(ModelView):
        def get_list(self, *args, **more):
            found = super().get_list(*args, **more)
            session().connection().commit()
            return found
"""
USES_A_THREAD = """
    import threading
    from contextvars import copy_context
    from functools import partial

    class View(ModelView):
        def get_list(self, *args, **more):
            here = session()

            def count():
                here.execute(sa.text("SELECT 1"))

            thread = threading.Thread(target={target})
            thread.start()
            thread.join()
            return super().get_list(*args, **more)
"""
ON_A_THREAD = USES_A_THREAD.format(target="flask.copy_current_request_context(count)")
ON_A_THREAD_WITH_ITS_CONTEXT = USES_A_THREAD.format(
    target="partial(copy_context().run, count)"
)
ALL_ON_A_THREAD = """
    from concurrent.futures import ThreadPoolExecutor

    class View(ModelView):
        def get_list(self, *args, **more):
            work = flask.copy_current_request_context(super().get_list)
            with ThreadPoolExecutor() as pool:
                return pool.submit(work, *args, **more).result()
"""
CLOSES_ON_A_THREAD = """
    from concurrent.futures import ThreadPoolExecutor

    class View(ModelView):
        def get_list(self, *args, **more):
            found = super().get_list(*args, **more)
            with ThreadPoolExecutor() as pool:
                pool.submit(session()().close).result()
            return found
"""
PAST_THE_SESSION = """
    class View(ModelView):
        def get_list(self, *args, **more):
            with session().get_bind().connect() as connection:
                connection.execute(sa.text("SELECT 1"))
            return super().get_list(*args, **more)
"""


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("alive", CLOSES),
        ("isolated", COMMITS),
        ("isolated", COMMITS_BENEATH),
        ("single", ON_A_THREAD),
        ("single", ON_A_THREAD_WITH_ITS_CONTEXT),
        ("single", PAST_THE_SESSION),
    ],
)
@pytest.mark.parametrize("where", OF_FLASK_ADMIN.values(), ids=OF_FLASK_ADMIN)
def test_flask_admin_breaks_a_rule_with(
    tmp_path: Path, where: tuple[str, str], rule: str, code: str
) -> None:
    found = [
        violation
        for violation in verdict_on(tmp_path, code, where).violations
        if violation.rule == rule
    ]
    assert {violation.cause.name for violation in found if violation.cause} == {
        "Flask-Admin itself"
    }
    assert {violation.place.file for violation in found if violation.place} == {
        "flask_admin/contrib/sqla/view.py"
    }


def test_the_current_folder_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of Python can be below it, as in a home."""
    monkeypatch.chdir(Path(sysconfig.get_path("stdlib")).parent)
    where = OF_FLASK_ADMIN["in a package"]
    seen = verdict_on(tmp_path, ON_A_THREAD, where)
    assert "single" in {violation.rule for violation in seen.violations}


@pytest.mark.parametrize(
    "code",
    [
        COMMITS_BENEATH,
        ON_A_THREAD,
        ON_A_THREAD_WITH_ITS_CONTEXT,
        ALL_ON_A_THREAD,
        CLOSES_ON_A_THREAD,
    ],
)
@pytest.mark.parametrize("where", OF_APP.values(), ids=OF_APP)
def test_the_app_breaks_no_rule_with(
    tmp_path: Path, where: tuple[str, str], code: str
) -> None:
    seen = verdict_on(tmp_path, code, where)
    assert seen.violations == ()
    assert seen.failures == []


@pytest.mark.parametrize("where", OF_APP.values(), ids=OF_APP)
def test_the_app_is_allowed_to_save_with_flask_admins_functions(
    tmp_path: Path, where: tuple[str, str]
) -> None:
    """It does so in a GET, and without a form of Flask-Admin's."""
    code = """
        class View(ModelView):
            @expose("/retire")
            def retire(self):
                return str(self.delete_model(self.get_one("1")))
    """
    app = make_app(f"sqlite:///{tmp_path / 'pond.db'}", view=make_view(code, where))
    with Recorder() as recorder:
        assert app.test_client().get("/admin/fish/retire").text == "True"
    assert judge(recorder.recording).violations == ()


Search = t.Callable[..., t.Any]
SEARCHES = ["here", "near", "birth", "outside", "is_saving", "is_by_other_thread"]


def extracted(search: Search) -> Search:
    """Call a search for a line through another function of the package."""
    code = "def through(*args): return search(*args)"
    names: dict[str, t.Any] = {"search": search}
    exec(compile(code, f"{places.HERE}watch/extracted.py", "exec"), names)
    return t.cast(Search, names["through"])


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_calls_within_this_package_do_not_move_the_line(calls: int) -> None:
    known = Places(call.__code__)
    here: Search = known.here
    near: Search = known.near
    birth: Search = known.birth
    for _ in range(calls):
        here, near, birth = extracted(here), extracted(near), extracted(birth)
    line, found = sys._getframe().f_lineno, (here(), near(), birth())
    place = Place(places.readable(__file__), line, sys._getframe().f_code.co_name)
    assert found == ((place, place), place, (Maker.HAND, place, place))


Calls = t.Callable[..., t.Any]


def calling(file: str, module: str) -> Calls:
    """Return a function of a file that calls what it is given."""
    names: dict[str, t.Any] = {"__name__": module}
    exec(compile("def run(go, *more): return go(*more)", file, "exec"), names)
    return t.cast(Calls, names["run"])


OWN = calling("/srv/pond/views.py", "views")
SCOPING = calling(f"{PACKAGES}/sqlalchemy/orm/scoping.py", "sqlalchemy.orm.scoping")
WITHIN = calling(places.HERE + "within.py", "session_scoping.within")


def searched(stack: t.Iterable[Calls], search: Calls) -> t.Any:
    """Return what a search finds beneath these functions."""
    calls = [*stack, WITHIN, search]
    return calls[0](*calls[1:])


def test_a_search_ends_at_the_line_of_the_app_or_where_the_app_is_called() -> None:
    flask = calling(f"{PACKAGES}/flask/app.py", "flask.app")
    view = calling(f"{PACKAGES}/flask_admin/base.py", "flask_admin.base")
    boundary = calling(places.HERE + "calls.py", "session_scoping.calls")
    beside = calling(places.HERE + "calls.py", "session_scoping.calls")
    known = Places(boundary.__code__)
    admin, app = "flask_admin/base.py", "/srv/pond/views.py"
    for _ in range(2):  # the files are new, and then they are known
        for stack, expected in [
            ([OWN, boundary, flask, view, beside, SCOPING], (admin, None)),
            ([OWN, boundary, OWN, view, SCOPING], (admin, app)),
            ([OWN, boundary, OWN, SCOPING], (app, app)),
            ([OWN, boundary, SCOPING], (None, None)),
        ]:
            found = searched(stack, known.here)
            assert tuple(place and place.file for place in found) == expected


def test_an_extension_makes_the_session_also_where_it_uses_a_scoped_session() -> None:
    extension = calling(f"{PACKAGES}/flask_sqlalchemy/x.py", "flask_sqlalchemy.x")
    for stack, expected in [
        ([OWN, SCOPING, extension], Maker.FLASK_SQLALCHEMY),
        ([OWN, extension, SCOPING], Maker.FLASK_SQLALCHEMY),
        ([OWN, SCOPING], Maker.SCOPED_SESSION),
        ([OWN], Maker.HAND),
    ]:
        maker, place, own = searched(stack, Places(call.__code__).birth)
        assert maker is expected
        assert place == own
        assert place.file == "/srv/pond/views.py"


def test_a_line_is_forgotten_with_its_code() -> None:
    """A template that is compiled for each request has new code each time."""
    known = Places(call.__code__)
    for _ in range(3):
        names: dict[str, t.Any] = {"here": known.here}
        exec(compile("place = here()", __file__, "exec"), names)
        assert names["place"][0].line == 1
        del names
    assert len(known.known) < 3


def test_a_search_on_other_threads_keeps_no_frame_alive() -> None:
    """Its variables can be sessions, which live until garbage is collected."""

    class Local:
        pass

    def search() -> "ref[Local]":
        local = Local()
        assert Places(call.__code__).is_by_other_thread({threading.get_ident()})
        return ref(local)

    gc.disable()
    try:
        assert search()() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("code", [CLOSES, COMMITS, ON_A_THREAD, PAST_THE_SESSION])
def test_a_method_of_this_package_can_be_extracted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """The guard finds the same violations, at the same lines."""
    where = OF_FLASK_ADMIN["in a package"]
    before = verdict_on(tmp_path, code, where).violations
    for name in SEARCHES:
        monkeypatch.setattr(Places, name, extracted(getattr(Places, name)))
    (tmp_path / "again").mkdir()
    after = verdict_on(tmp_path / "again", code, where).violations
    assert before
    assert after == before


def test_the_tests_of_flask_admin_are_not_flask_admin() -> None:
    assert Place("flask_admin/contrib/sqla/view.py", 1, "get_list").of_flask_admin
    assert not Place("flask_admin/tests/conftest.py", 35, "begin").of_flask_admin
