"""A session that can be closed even when its connection was lost."""

# begin
from contextlib import suppress

from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session


class ClosingSession(Session):  # for sessionmaker(engine, class_=ClosingSession)
    def close(self):
        transaction = self.get_transaction()
        try:
            super().close()
        except DBAPIError:  # the connection is dead: the database rolls back by itself
            if transaction is not None:
                with suppress(DBAPIError):
                    transaction.close()  # the connections to other databases


class FlaskClosingSession(ClosingSession, FlaskSession):  # for Flask-SQLAlchemy
    pass


db = SQLAlchemy(session_options={"class_": FlaskClosingSession})
# end
