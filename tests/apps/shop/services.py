import typing as t

from tests.apps.shop.models import Item


class Catalogue:
    session: t.Any = None

    def in_stock(self) -> list[str]:
        return [item.name for item in self.session.query(Item).filter(Item.stock > 0)]


catalogue = Catalogue()
