import typing as t

from flask import Flask

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from tests.apps.shop.extensions import db
from tests.apps.shop.models import Item
from tests.apps.shop.services import catalogue


class ItemView(ModelView):
    column_searchable_list = ("name",)
    column_editable_list = ("stock",)
    column_export_list: t.Any = ("name", "stock")
    can_export = True
    can_view_details = True


class StockView(BaseView):
    @expose("/")
    def index(self) -> str:
        return ", ".join(catalogue.in_stock())


def init_admin(app: Flask) -> None:
    admin = Admin(app, name="Shop")
    admin.add_view(ItemView(Item, db.session))
    admin.add_view(StockView(name="Stock", endpoint="stock"))
