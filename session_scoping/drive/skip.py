"""The pages that must not be requested, as they do more than read and write rows."""

import typing as t
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import flask
from werkzeug.exceptions import HTTPException

from session_scoping.errors import CannotTell
from session_scoping.watch.kinds import patterns


class Skip:
    """Shell-style patterns for the endpoints that are not requested."""

    def __init__(self, app: flask.Flask, skip: t.Sequence[str]) -> None:
        """Raises ``CannotTell`` if no endpoint of the app matches a pattern."""
        self.urls = app.url_map.bind("localhost")
        self.patterns = patterns(skip, "skip")
        endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
        for pattern in self.patterns:
            if not any(fnmatchcase(endpoint, pattern) for endpoint in endpoints):
                raise CannotTell(
                    f"no endpoint of {app.import_name} matches {pattern}, to skip: "
                    "`flask routes` lists them"
                )

    def why(self, url: str) -> str:
        """Return why a URL is not requested, or an empty string."""
        if not self.patterns:
            return ""
        for method in ("GET", "POST"):
            try:
                endpoint, _ = self.urls.match(urlsplit(url).path, method)
            except HTTPException:  # it takes the other method
                continue
            for pattern in self.patterns:
                if fnmatchcase(str(endpoint), pattern):
                    return f"skipped by {pattern}"
        return ""
