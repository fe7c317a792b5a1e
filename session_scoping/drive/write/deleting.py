"""Deletes rows: by the bulk action of the list, and by the button of a row."""

from urllib.parse import urljoin

from session_scoping.drive.write.creating import Creation
from session_scoping.drive.write.driver import ViewDriver
from session_scoping.drive.write.forms import Form
from session_scoping.drive.write.ledger import OwnRow
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Request

BULK_DELETE = Operation(OperationKind.BULK, "delete")
DELETE = Operation(OperationKind.DELETE)


class Deletion:
    """Deletes own rows of a view, and checks that they are gone."""

    def __init__(self, driver: ViewDriver, creation: Creation) -> None:
        self.driver = driver
        self.creation = creation

    def bulk_delete(self, fail_at: int) -> Request | None:
        """Delete a row by the bulk action. Other bulk actions are not driven."""
        url = self.driver.url("action_view")
        row = self.creation.row()
        page = None if self.driver.skips(BULK_DELETE, url) else self.driver.open_list()
        if row is None or page is None:
            return None
        for name in page.actions:
            if name != "delete":
                operation = Operation(OperationKind.BULK, name)
                why = "an action of its own: it may do more than write rows"
                self.driver.unseen(operation, why)
        form = next((form for form in page.forms if form.id == "action_form"), None)
        if form is None or "delete" not in page.actions:
            self.driver.unseen(BULK_DELETE, "the list does not offer it")
            return None
        data = {**form.hidden, "action": ["delete"], "rowid": [row.key]}
        request, _, _ = self.driver.post(BULK_DELETE, url, data, fail_at)
        self._expect_gone(row, request)
        return request

    def delete(self, fail_at: int) -> Request | None:
        """Delete a row by its button."""
        row = self.creation.row()
        return self._delete(row, fail_at) if row else None

    def delete_rest(self) -> None:
        """Delete all own rows that are left, until a row cannot be deleted."""
        for row in self.creation.rows():
            if self._delete(row) is None or row in self.driver.ledger.own:
                break

    def _delete(self, row: OwnRow, fail_at: int = 0) -> Request | None:
        """Delete a row. Returns ``None`` if the list does not open."""
        url = self.driver.url("delete_view")
        page = None if self.driver.skips(DELETE, url) else self.driver.open_list()
        if page is None:
            return None
        forms = (form for form in page.forms if urljoin(url, form.action) == url)
        form = next(forms, Form())
        data = {**form.hidden, "id": [row.key]}
        request, _, _ = self.driver.post(DELETE, url, data, fail_at)
        self._expect_gone(row, request)
        return request

    def _expect_gone(self, row: OwnRow, request: Request) -> None:
        """Record it if a deleted row is still there, with what the app says."""
        ledger = self.driver.ledger
        if request.injected or request.exception or row not in ledger.own:
            return
        page = self.driver.open_list()
        complaints = f": {page.complaints}" if page and page.complaints else ""
        request.unexpected = (
            f"answers {request.status}, but the row is still there{complaints}"
        )
