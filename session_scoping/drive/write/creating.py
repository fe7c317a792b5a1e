"""Creates rows by the create form: a row, and the same row again."""

from session_scoping.drive.write.driver import ViewDriver
from session_scoping.drive.write.filling import FormFiller
from session_scoping.drive.write.filling import Hints
from session_scoping.drive.write.forms import Form
from session_scoping.drive.write.inserting import Insertion
from session_scoping.drive.write.ledger import OwnRow
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Request

CREATE = Operation(OperationKind.CREATE)
DUPLICATE = Operation(OperationKind.CREATE, variant="duplicate")
CREATE_FORM = Operation(OperationKind.CREATE_FORM)


class Creation:
    """Creates the rows that all other operations of a view need."""

    def __init__(self, driver: ViewDriver, filler: FormFiller) -> None:
        self.driver = driver
        self.insertion = Insertion(
            driver,
            CREATE,
            CREATE_FORM,
            driver.mapper,
            lambda form, hints: filler.fill(form.fields, hints),
        )

    @property
    def hints(self) -> Hints:
        """What the create form has shown when it refused values."""
        return self.insertion.hints

    def create(self, fail_at: int) -> Request | None:
        """Create a row. Returns ``None`` if the form accepts no values."""
        return self.insertion.insert(self.driver.url("create_view"), fail_at)

    def open_form(self) -> Form | None:
        """Return the create form, or ``None``."""
        return self.driver.open_form(CREATE_FORM, self.driver.url("create_view"))

    def duplicate(self, fail_at: int) -> Request | None:
        """Post the same again: it is refused, or it inserts a second row."""
        form = self.open_form()
        if form is None:
            return None
        data = {**self.insertion.accepted, **form.hidden}
        request, _, row = self.driver.post(
            DUPLICATE, form.action, data, fail_at, self.driver.mapper
        )
        if row is None:
            expect_form_again(request)
        return request

    def rows(self) -> list[OwnRow]:
        """Return the view's own rows that exist."""
        return self.driver.ledger.rows(self.driver.number, self.driver.mapper)

    def row(self) -> OwnRow | None:
        """Return an own row. Creates a row if none exists."""
        rows = self.rows()
        if not rows and self.create(0) is not None:
            rows = self.rows()
        return rows[0] if rows else None


def expect_form_again(request: Request) -> None:
    """Record it if a refused form is not shown again."""
    if not request.injected and not request.exception and request.status != 200:
        request.unexpected = (
            f"answers {request.status}, not with the form and its errors"
        )
