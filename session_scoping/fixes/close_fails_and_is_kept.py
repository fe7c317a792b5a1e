"""Flask-SQLAlchemy's session, which can be closed even when its connection was lost."""
# mypy: allow-subclassing-any, disable-error-code=name-defined

import typing as t
from contextlib import suppress

from sqlalchemy.exc import DBAPIError


def fix(db: t.Any) -> None:
    # begin
    maker = db.session.session_factory  # where db is made, before it is used

    class ClosingSession(maker.class_):
        def close(self):
            transaction = self.get_transaction()
            try:
                super().close()
            except DBAPIError:  # the database rolls back by itself
                if transaction is not None:
                    with suppress(DBAPIError):
                        transaction.close()  # the connections to other databases

    maker.class_ = ClosingSession
    # end
