"""Sessions that are closed even when their connection was lost."""
# mypy: allow-subclassing-any

import typing as t
from contextlib import suppress

from sqlalchemy.exc import DBAPIError

# The cause that they are without.
LEFT_IN_REGISTRY = "a lost connection leaves its session in the registry"


def closing(base: t.Any) -> t.Any:
    """A class of sessions as finding 9 of the investigation wants it meanwhile."""

    class ClosingSession(base):
        def close(self) -> None:
            transaction = self.get_transaction()
            try:
                super().close()
            except DBAPIError:
                with suppress(DBAPIError):
                    transaction.close()

    return ClosingSession
