"""What ``--write`` does: it creates rows by the admin's own forms, and deletes them.

- ``writer`` says which operations are driven in a view, and in which order.
- ``creating``, ``refusals``, ``editing``, ``children``, ``cells`` and ``deleting``
  each drive a kind of operation. ``inserting`` serves two of them.
- ``filling`` decides what goes into each field of a form, ``values`` makes it.
- ``driver`` opens the pages and posts the forms, ``forms`` reads them.
- ``ledger`` knows which rows are the guard's own, and what changes in the tables.
- ``databases`` finds the engine for each table.
- ``mapping`` answers questions about a model's columns and relationships.
"""
