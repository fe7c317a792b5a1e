"""A plain session that can be closed even when its connection was lost."""

import typing as t

from sqlalchemy.engine import Engine


def fix(engine: Engine) -> t.Any:
    # begin
    from contextlib import suppress

    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.orm import scoped_session
    from sqlalchemy.orm import Session
    from sqlalchemy.orm import sessionmaker

    class ClosingSession(Session):
        def close(self):
            transaction = self.get_transaction()
            try:
                super().close()
            except DBAPIError:  # the database rolls back by itself
                if transaction is not None:
                    with suppress(DBAPIError):
                        transaction.close()  # the connections to other databases

    db_session = scoped_session(sessionmaker(engine, class_=ClosingSession))
    # end
    return db_session
