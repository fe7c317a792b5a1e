"""Code that rolls back when its commit fails."""

import typing as t

from sqlalchemy.exc import SQLAlchemyError


def fix(db: t.Any) -> None:
    # begin
    try:
        db.session.commit()
    except SQLAlchemyError:
        db.session.rollback()  # after a failed commit, remove() does not roll back
        raise
    # end
