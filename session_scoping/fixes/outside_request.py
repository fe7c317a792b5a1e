"""Code outside of any request, which removes the session that it has used."""

import typing as t


def fix(session: t.Any, User: t.Any) -> t.Callable[[int], str]:
    # begin
    def name_of(key):
        try:
            return session.get(User, key).name
        finally:
            session.remove()  # no request ends here, so that nothing else removes it

    # end
    return name_of
