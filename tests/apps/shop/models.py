# mypy: allow-subclassing-any

from tests.apps.shop.extensions import db


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), unique=True, nullable=False)
    stock = db.Column(db.Integer, default=0)


def seed() -> None:
    for name in "Apron", "Bucket", "Candle", "Doormat", "Easel", "Flask":
        db.session.add(Item(name=name, stock=len(name)))
    db.session.commit()
