"""redash pull request 1792 (issue 1725), flask-sqlalchemy issue 508: a helper pushes an app context of
its own in the middle of a request. Up to Flask-SQLAlchemy 2 its end removed the request's session
(DetachedInstanceError), since 3 the helper has another session and another transaction."""

import os
import tempfile

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Org(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))
    locale = db.Column(db.String(10), default="en")


class Query(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    text = db.Column(db.String(100))
    org_id = db.Column(db.ForeignKey("org.id"))
    org = db.relationship(Org)


def setting(app, name):
    return getattr(db.session.get(Org, 1), name)


def setting_in_context(app, name):
    with app.app_context():  # reported
        return getattr(db.session.get(Org, 1), name)


class QueryView(ModelView):
    column_list = ["text", "org"]
    column_formatters = {
        "text": lambda v, c, m, n: f"{m.text} ({v.setting(v.app, 'locale')})"
    }

    def __init__(self, app, setting, *args, **kwargs):
        self.app, self.setting = app, setting
        super().__init__(*args, **kwargs)


def create_app(setting):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "q.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add_all(
            [
                Org(name="acme"),
                Query(text="select 1", org_id=1),
                Query(text="select 2", org_id=1),
            ]
        )
        db.session.commit()

    @app.get("/queries/<int:number>")
    def query(number):
        one = db.session.get(Query, number)
        locale = setting(app, "locale")
        return f"{one.text} {one.org.name} {locale}"

    @app.post("/org/rename")
    def rename():
        org = db.session.get(Org, 1)
        org.locale = "fr"
        db.session.flush()
        shown = setting(app, "locale")
        db.session.rollback()
        return shown

    Admin(app).add_view(QueryView(app, setting, Query, db.session))
    return app


def broken():
    return create_app(setting_in_context)


def fixed():
    return create_app(setting)


def visit(app):
    app.test_client().get("/queries/1")
    app.test_client().get("/queries/2")


def visit_and_read(app):
    app.test_client().get("/queries/1").get_data()
    app.test_client().get("/queries/2").get_data()
