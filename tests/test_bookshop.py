"""The bookshop's own checks: they find what they are there to find."""

import sqlite3
import typing as t
from pathlib import Path

import pytest

from session_scoping.bookshop.shop import Bookshop

# Flask-Admin uses what WTForms 3.3 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
LIST = "Herbert: Dune.*Herbert"


@pytest.fixture
def shop(tmp_path: Path) -> t.Iterator[Bookshop]:
    shop = Bookshop("scoped_session", tmp_path)
    yield shop
    shop.watcher.close()


def dump(shop: Bookshop) -> list[str]:
    return sorted(shop.watcher.iterdump())


def read(shop: Bookshop, view: str) -> str:
    return shop.app.test_client().get(f"/admin/{view}/").text


def test_a_page_from_before_a_change_is_outdated(shop: Bookshop) -> None:
    before, lists = dump(shop), read(shop, "bookview")
    with shop.changes.made():
        assert "'Herbert: Dune', which" in shop.changes.outdated(lists, LIST)
        assert not shop.changes.outdated(read(shop, "bookview"), LIST)
        genres = read(shop, "genreview")
        assert not shop.changes.outdated(genres, "science fiction", "poetry")
        missing = shop.changes.outdated(genres.replace("poetry", ""), ".*", "poetry")
        assert missing.startswith("does not show 'poetry'")
    assert dump(shop) == before
    assert not shop.changes.outdated(lists)


def test_nothing_is_changed_where_a_session_holds_a_lock(shop: Bookshop) -> None:
    before = dump(shop)
    locking = sqlite3.connect(shop.file)
    locking.execute("UPDATE book SET title = 'Emma' WHERE id = 1")
    with shop.changes.made():
        assert not shop.changes.old
        assert dump(shop) == before
    locking.close()
