"""What released packages are known to break: written down once, as data.

The drop-in has to stand alone and so has a copy of what it expects to fail; a test
compares. The causes that the guard for one's own app knows, the table of all releases
and the documents read it from here.
"""

from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

FLASK_ADMIN = "https://github.com/pallets-eco/flask-admin"
SQLA = f"{FLASK_ADMIN}/blob/v2.2.1/flask_admin/contrib/sqla"
EVERY_HANDLE = ("sqlalchemy_db", "sqlalchemy_session", "lite_db", "plain_session")


@dataclass(frozen=True)
class Defect:
    """Something that releases of a package break."""

    id: str
    sentence: str
    package: str
    releases: SpecifierSet
    handles: tuple[str, ...]  # of the drop-in; none: it does not drive that
    rules: tuple[str, ...]  # none: it does not even import
    link: str  # upstream
    workaround: str  # code, or what to install
    finding: int  # in the investigation

    def is_in(self, release: str) -> bool:
        """Does a release of the package have it?"""
        return bool(release) and self.releases.contains(release, prereleases=True)


DEFECTS = (
    Defect(
        "streams-too-late",
        "Flask 3.1.2 and newer end the app context, and the session, before they "
        "stream: a column that loads lazily then has none.",
        "Flask",
        SpecifierSet(">=3.1.2"),
        EVERY_HANDLE,
        ("alive",),
        "https://github.com/pallets/flask/issues/5774",
        """\
class UserView(ModelView):
    column_export_list = [...]  # without relationships that load lazily, or load them:

    def get_query(self):
        return super().get_query().options(selectinload(User.posts))""",
        1,
    ),
    Defect(
        "does-not-import",
        "Flask-Admin 2.2.1 does not import without Flask-SQLAlchemy.",
        "Flask-Admin",
        SpecifierSet("==2.2.1"),
        EVERY_HANDLE,
        (),
        f"{SQLA}/_types.py",
        "pip install flask-sqlalchemy",
        2,
    ),
    Defect(
        "unique-keeps-session",
        "With Flask-SQLAlchemy-Lite the form's `Unique` validator takes the session of "
        "the moment in which the view is built, and uses it in every request.",
        "Flask-Admin",
        SpecifierSet(">=2.1,<2.2.1"),
        ("lite_db",),
        ("single", "fresh", "released", "recovers"),
        f"{FLASK_ADMIN}/pull/2953",
        'pip install "flask-admin>=2.2.1"',
        4,
    ),
    Defect(
        "mass-delete-not-rolled-back",
        "Flask-Admin's delete action does not roll back when its commit fails: the "
        "next request to get that connection finds what was not committed.",
        "Flask-Admin",
        SpecifierSet("<=2.2.1"),
        EVERY_HANDLE,
        ("recovers",),
        f"{SQLA}/view.py",
        """\
class UserView(ModelView):
    @action("delete", "Delete", "Delete the selected records?")
    def action_delete(self, ids):
        super().action_delete(ids)
        db.session.rollback()  # of what could not be committed""",
        8,
    ),
    Defect(
        "close-fails-and-is-kept",
        "`scoped_session.remove()` closes a session and then forgets it. When closing "
        "fails, as it does when the request has lost its connection, the registry "
        "keeps it, and may give it to a later request.",
        "SQLAlchemy",
        SpecifierSet("<=2.1.9"),
        (),
        ("fresh", "released", "recovers"),
        "https://docs.sqlalchemy.org/en/20/orm/contextual.html#sqlalchemy.orm.scoped_session.remove",
        """\
class ClosingSession(Session):  # of flask_sqlalchemy.session
    def close(self):
        transaction = self.get_transaction()
        try:
            super().close()
        except DBAPIError:  # of a dead connection: the database rolls back by itself
            with suppress(DBAPIError):
                transaction.close()  # the connections to other databases

db = SQLAlchemy(session_options={"class_": ClosingSession})""",
        9,
    ),
)
BY_ID = {one.id: one for one in DEFECTS}
