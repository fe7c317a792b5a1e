"""Operations of the bookshop that the crawler does not try itself."""

import typing as t
from urllib.parse import quote

from session_scoping.drive.operations import Task
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind

BOOKS, PLAIN, CRITICS = "bookview", "plainbookview", "criticview"


def _url(endpoint: str, path: str) -> str:
    return f"/admin/{endpoint}/{path}"


def rare_reads(views: dict[str, int]) -> t.Iterator[Task]:
    """Yield requests that take a rare path, and only read.

    ``views``: the numbers of the views, by endpoint.
    """

    def task(
        endpoint: str, path: str, operation: Operation, method: str = "GET"
    ) -> Task:
        return Task(views[endpoint], operation, _url(endpoint, path), method=method)

    page = OperationKind.PAGE
    listed = Operation(OperationKind.LIST, variant="sorted, second page")
    yield task(PLAIN, "?sort=0&page=1", listed)
    larger = Operation(OperationKind.LIST, variant="larger page")
    yield task(PLAIN, "?page_size=50", larger)
    in_vain = Operation(OperationKind.LIST, variant="searched in vain")
    yield task(BOOKS, "?search=no-such-row", in_vain)
    kept = Operation(OperationKind.EDIT_FORM, variant="from a page of the list")
    back = _url(BOOKS, "?page=1&sort=0&search=e&page_size=2&from=here")
    yield task(BOOKS, f"edit/?id=1&url={quote(back)}", kept)
    full = Operation(OperationKind.LOOK_UP, "genres", "full page")
    yield task(BOOKS, "ajax/lookup/?name=genres&query=&limit=2", full)
    for path, what in ("details/?id=1", "details"), ("export/csv/", "export csv"):
        yield task(BOOKS, path, Operation(page, what, "only its head"), "HEAD")
    yield task(BOOKS, "", Operation(page, "list", "its options"), "OPTIONS")


def refusals(views: dict[str, int]) -> t.Iterator[Task]:
    """Yield forms that are refused, and forms that are posted as they were."""

    def post(
        endpoint: str, path: str, operation: Operation, data: dict[str, t.Any]
    ) -> Task:
        url = _url(endpoint, path)
        return Task(views[endpoint], operation, url, data=data, method="POST")

    def edit(variant: str) -> Operation:
        return Operation(OperationKind.EDIT, variant=variant)

    for variant, row in (
        ("invalid", {"title": "", "author": "1"}),
        ("duplicate", {"title": "Solaris", "author": "1"}),
        ("as it was", {"title": "The Lathe", "author": "2", "genres": ["1", "2"]}),
    ):
        yield post(PLAIN, "edit/?id=2", edit(variant), row)
    critic = {"name": "Herbert Pym", "paper": "Gazette", "profile-motto": "briefly"}
    yield post(CRITICS, "edit/?id=3", edit("its profile as it was"), critic)
    for variant, cell in (
        ("no such row", {"list_form_pk": "99", "title": "Ubik"}),
        ("invalid", {"list_form_pk": "1", "title": ""}),
        ("duplicate", {"list_form_pk": "1", "title": "Solaris"}),
        ("against a constraint", {"list_form_pk": "1", "pages": "-1"}),
    ):
        operation = Operation(OperationKind.INLINE_EDIT, variant=variant)
        yield post(BOOKS, "ajax/update/", operation, cell)
    for variant, key in ("refused", "3"), ("no such row", "99"):
        operation = Operation(OperationKind.DELETE, variant=variant)
        yield post(BOOKS, "delete/", operation, {"id": key})
    bulk = Operation(OperationKind.BULK, "delete", "refused")
    yield post(PLAIN, "action/", bulk, {"action": "delete", "rowid": "3"})
