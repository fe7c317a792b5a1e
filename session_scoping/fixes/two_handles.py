"""An app whose parts all get the same handle."""

import typing as t


def fix(db: t.Any, Datastore: t.Any) -> t.Any:
    # begin
    datastore = Datastore(db.session)  # one db everywhere: no second engine or session
    # end
    return datastore
