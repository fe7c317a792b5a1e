"""The bookshop: the reference admin.

It uses what Flask-Admin offers for SQLAlchemy, with each kind of handle. A rule that is
broken there is broken by Flask-Admin, or by a package under it. The bookshop knows what
each operation has to show.

- ``handles`` sets up each kind of handle for an app.
- ``models`` has the tables, and the rows that the shop starts with.
- ``views`` has the views of its two admins.
- ``operations`` has what the crawler does not try itself.
- ``changes`` changes the database past all sessions, between two reads.
- ``shows`` says what each operation has to show.
- ``shop`` builds the app, checks what its requests do, and records it.
"""
