"""What each operation of the bookshop has to show."""

import re

from session_scoping.recording import Request

REDIRECT = 302  # or 303: see ``wrong_page``
# For each endpoint and operation: the status, and a pattern of the page. The key is the
# name of an operation, or the beginning of the name: the first key that fits counts.
SHOWS: dict[str, dict[str, tuple[int, str]]] = {
    "admin": {"page": (200, "/admin/bookview/")},
    "second": {"page": (200, "/second/second_critic/")},
    "bookview": {
        "list, only its head": (200, "^$"),
        "list, searched in vain": (200, "no items"),
        "list, second page": (200, "Solaris"),
        "list, filtered by author / Person / Name not": (200, "The Lathe"),
        "list, filtered by author / Person / Name empty": (200, "Solaris"),
        "list": (200, "Herbert: Dune.*Herbert"),
        "details, no such row": (REDIRECT, ""),
        "details": (200, "Herbert: Dune.*terse"),
        "create form": (200, "<form"),
        "edit form, no such row": (REDIRECT, ""),
        "edit form": (200, 'value="(Herbert: Dune|ss-)'),
        "look-up of author": (200, "Herbert"),
        "look-up of review-critic": (200, "Herbert Pym"),
        "look-up of critic": (200, "Herbert Pym"),
        "look-up of genres, by script": (200, "fiction.*science fiction"),
        "look-up of genres": (200, ""),
        "page details, only its head": (200, "^$"),
        "page export csv, only its head": (200, "^$"),
        "page list, its options": (200, "^$"),
        "export csv, dropped": (200, "Title"),
        "export csv, filtered": (200, "Herbert: Dune,Herbert(?!.*The Lathe)"),
        "export csv": (200, "Herbert: Dune,Herbert.*The Lathe"),
        "export json": (200, "The Lathe"),
        "inline edit, no such row": (500, "does not exist"),
        "inline edit, invalid": (500, "is required"),
        "inline edit, duplicate": (500, "Already exists"),
        "inline edit, against a constraint": (500, "(?i)constraint"),
        "inline edit": (200, "saved"),
        "delete, refused": (REDIRECT, ""),
        "delete, no such row": (REDIRECT, ""),
    },
    "plainbookview": {
        "list, only its head": (200, "^$"),
        "list, sorted, second page": (200, "The Lathe"),
        "list, second page": (200, "Solaris"),
        "list, larger page": (200, "Herbert: Dune.*The Lathe.*Solaris"),
        "list": (200, "Herbert: Dune.*Herbert.*science fiction"),
        "details, no such row": (404, ""),
        "details": (500, ""),
        "create form": (200, "Herbert.*science fiction"),
        "edit form, no such row": (404, ""),
        "edit form": (200, 'value="(Herbert: Dune|ss-).*Herbert.*science fiction'),
        "edit, invalid": (200, "is required.*Le Guin"),
        "edit, duplicate": (200, "Already exists.*Le Guin"),
        "export csv, dropped": (200, "Title"),
        "export csv": (200, "long"),
        "page refresh": (200, "refreshed"),
        "inline edit": (200, "saved"),
        "bulk delete, refused": (REDIRECT, ""),
    },
    "genreview": {
        "list, only its head": (200, "^$"),
        "list, second page": (200, "no items"),
        "list, filtered by": (200, "fiction"),
        "list, all at once": (200, "fiction"),
        "list": (200, "science fiction.*fiction.*filter-groups-data.*science fiction"),
        "details, no such row": (REDIRECT, ""),
        "details": (200, "fiction"),
        "create form": (200, "science fiction"),
        "edit form, no such row": (REDIRECT, ""),
        "edit form": (200, "science fiction"),
    },
    "criticview": {
        "list, only its head": (200, "^$"),
        "list, second page": (200, "no items"),
        "list": (200, "Herbert Pym.*Gazette.*briefly"),
        "create form": (200, "Paper.*Motto"),
        "edit form, no such row": (REDIRECT, ""),
        "edit form": (200, 'value="(Gazette|ss-)'),
    },
    "stockview": {
        "list, only its head": (200, "^$"),
        "list, second page": (200, "no items"),
        "list": (200, "Alcove: signed.*soft.*Herbert: Dune"),
        "create form": (200, "hard.*beside Herbert: Dune.*Herbert: Dune"),
        "edit form": (200, "hard.*Herbert: Dune"),
    },
    "loanview": {
        "list, only its head": (200, "^$"),
        "list, second page": (200, "reader 6"),
        "list": (200, "reader 1.*(reader 4|reader 12)"),
        "create form": (200, "Reader"),
        "edit form, no such row": (REDIRECT, ""),
        "edit form": (200, 'value="(a newcomer|reader|ss-)'),
        "export csv, dropped": (200, "Reader"),
        "export": (200, "reader 1.*reader 60"),
    },
}
SHOWS["second_critic"] = SHOWS["criticview"]
# What else it has to show after a change of the database has added rows.
ADDED = {
    ("bookview", "list, second page"): "Ubik",
    ("bookview", "export csv"): "Ubik,Zelazny",
    ("bookview", "export json"): "Ubik",
    ("plainbookview", "list"): r"List \(4\)",
    ("plainbookview", "create form"): "Zelazny.*poetry",
    ("plainbookview", "edit form"): "Zelazny.*poetry",
    ("genreview", "list"): "poetry.*filter-groups-data.*poetry",
    ("genreview", "create form"): "poetry",
    ("genreview", "edit form"): "poetry",
    ("loanview", "list"): r"List \(61\).*a newcomer",
    ("loanview", "export csv"): "a newcomer",
    ("bookview", "look-up of genres, by script"): "poetry",
    ("stockview", "create form"): "Ubik",
    ("stockview", "edit form"): "Ubik",
}
# The same for operations that write. It holds for every view.
WRITES = {
    "create, duplicate": (200, "Already exists|constraint"),
    "create, invalid": (200, "is required|Not a valid|cannot be longer"),
    "create, against a constraint": (200, "(?i)constraint"),
    "create": (REDIRECT, ""),
    "edit": (REDIRECT, ""),
    "inline child": (REDIRECT, ""),
    "bulk delete": (REDIRECT, ""),
    "delete": (REDIRECT, ""),
}


def wrong_page(shows: tuple[int, str], request: Request, page: str) -> str:
    """Return what a page does not show, or an empty string.

    Flask redirects with status 302 or, after 3.1, with 303
    (https://github.com/pallets/flask/issues/5895).
    """
    status, pattern = shows
    if request.status != status and {request.status, status} != {REDIRECT, 303}:
        return f"answers {request.status}, not {status}"
    if not re.search(pattern, page, re.DOTALL):
        return f"does not show {pattern!r}"
    return ""


def expected(endpoint: str, operation: str) -> tuple[int, str]:
    """Return the status that an operation has to answer, and a pattern of its page.

    Raises ``LookupError`` if neither ``SHOWS`` nor ``WRITES`` has the operation.
    """
    for known in SHOWS[endpoint], WRITES:
        for name, shows in known.items():
            if operation.startswith(name):
                return shows
    raise LookupError(f"SHOWS has no entry for {endpoint}, {operation}")
