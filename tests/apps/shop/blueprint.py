from flask import Blueprint

from tests.apps.shop.services import catalogue

storefront = Blueprint("storefront", __name__)


@storefront.get("/")
def index() -> str:
    return ", ".join(catalogue.in_stock())
