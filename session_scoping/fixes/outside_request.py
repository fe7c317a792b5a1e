"""Code outside of any request, which removes the session that it has used."""

import typing as t


def fix(db_session: t.Any, User: t.Any) -> t.Callable[[int], str]:
    # begin
    def name_of(key):
        try:
            return db_session.get(User, key).name
        finally:
            db_session.remove()  # no request ends here, so that nothing else removes it

    # end
    return name_of
