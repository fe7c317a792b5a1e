"""Each look at the details of a row counts one visit more, and commits it.

Nothing outlives its request here, but a GET writes: a crawler changes what it reads.
"""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import URL

db: t.Any = SQLAlchemy()


class Article(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(40), nullable=False)
    visits = db.Column(db.Integer, default=0)


class ArticleView(ModelView):
    column_searchable_list = ("title",)
    can_view_details = True


class CountedArticleView(ArticleView):
    def get_one(self, id: t.Any) -> t.Any:
        article = super().get_one(id)
        if article:
            article.visits += 1
            db.session.commit()  # broken here
        return article


def create_app(broken: bool) -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "articles"
    app.config["SQLALCHEMY_DATABASE_URI"] = URL
    db.init_app(app)
    with app.app_context():
        db.create_all()
        titles = "Acorns", "Bogs", "Caves", "Dunes", "Echoes", "Fjords"
        db.session.add_all(Article(title=title) for title in titles)
        db.session.commit()

    view = CountedArticleView if broken else ArticleView
    admin = Admin(app, name="Articles")
    admin.add_view(view(Article, db))
    return app


def fixed() -> Flask:
    return create_app(broken=False)


def broken() -> Flask:
    return create_app(broken=True)
