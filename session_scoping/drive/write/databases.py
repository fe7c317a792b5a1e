"""The databases that ``--write`` writes to."""

import typing as t

import flask
import sqlalchemy as sa

from flask_admin.contrib.sqla import ModelView


def databases(app: flask.Flask) -> list[str]:
    """Return the URLs of the databases that ``--write`` writes to, without passwords.

    Raises ``TypeError`` as ``engines`` does.
    """
    urls: dict[str, None] = {}
    for admin in app.extensions.get("admin", []):
        for view in admin._views:
            if isinstance(view, ModelView):
                tables = sa.inspect(view.model).tables
                for engine in engines(app, view, tables).values():
                    urls[engine.url.render_as_string(hide_password=True)] = None
    return list(urls)


def engines(
    app: flask.Flask, view: t.Any, tables: t.Iterable[t.Any]
) -> dict[t.Any, sa.engine.Engine]:
    """Return the engine that a view's handle uses for each table.

    Call it while no request is running. Raises ``TypeError`` if the session is bound to
    something other than an engine.
    """
    with app.app_context():
        handle = view.session
        session = handle if hasattr(handle, "get_bind") else handle.session
        registry = getattr(session, "registry", None)
        unused = registry is not None and not registry.has()
        try:
            # Of the session itself: Flask-SQLAlchemy 2 takes fewer arguments than the
            # `scoped_session` passes on.
            made = session() if registry is not None else session
            binds = {table: made.get_bind(clause=table) for table in tables}
        finally:
            if unused:
                session.remove()
    for bind in binds.values():
        if not isinstance(bind, sa.engine.Engine):
            raise TypeError(f"a session bound to {type(bind).__name__}, to no engine")
    return binds
