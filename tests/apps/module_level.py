"""An app that is made when its module is imported."""
# mypy: allow-subclassing-any

import typing as t

from flask import Flask
from sqlalchemy import Column
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from tests.apps.engines import connect

engine = connect()
db_session: t.Any = scoped_session(sessionmaker(engine))
Base: t.Any = declarative_base()


class Tool(Base):
    __tablename__ = "tool"
    id = Column(Integer, primary_key=True)
    name = Column(String(40), nullable=False)


class ToolView(ModelView):
    column_searchable_list = ("name",)
    column_editable_list = ("name",)


Base.metadata.create_all(engine)
with Session(engine) as seeding:
    seeding.add_all(
        Tool(name=name) for name in ("Axe", "Brush", "Clamp", "Dowel", "Epee")
    )
    seeding.commit()

app = Flask(__name__)
app.secret_key = "tools"


@app.teardown_appcontext
def shutdown_session(error: BaseException | None) -> None:
    db_session.remove()


admin = Admin(app, name="Tools")
admin.add_view(ToolView(Tool, db_session))
