"""Sessions that are closed even when their connection was lost."""
# mypy: allow-subclassing-any

import typing as t

from sqlalchemy.exc import DBAPIError


def closing(base: t.Any) -> t.Any:
    """A class of sessions as finding 9 of the investigation wants it meanwhile."""

    class ClosingSession(base):
        def close(self) -> None:
            try:
                super().close()
            except DBAPIError:
                self.invalidate()

    return ClosingSession
