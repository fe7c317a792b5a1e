"""A mapper event that writes on the connection that it is given."""

import typing as t

from sqlalchemy import event
from sqlalchemy import insert


def fix(User: t.Any, Post: t.Any) -> None:
    # begin
    @event.listens_for(User, "after_insert")
    def add_post(mapper, connection, user):
        # No session here: the connection is in the transaction of the flush.
        connection.execute(insert(Post).values(title=f"I am {user.name}"))

    # end
