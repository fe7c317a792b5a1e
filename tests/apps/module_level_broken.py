"""An app made when its module is imported, and a view that reads with its session.

The list shows what is saved in the admin only after the app is restarted.
"""

import typing as t

from flask import Flask
from sqlalchemy.orm import Session

from flask_admin import Admin
from tests.apps.module_level import db_session
from tests.apps.module_level import engine
from tests.apps.module_level import shutdown_session
from tests.apps.module_level import Tool
from tests.apps.module_level import ToolView

reader = Session(engine)  # broken here


class ReadToolView(ToolView):
    def get_query(self) -> t.Any:
        return reader.query(Tool)


app = Flask(__name__)
app.secret_key = "tools"
app.teardown_appcontext(shutdown_session)
admin = Admin(app, name="Tools")
admin.add_view(ReadToolView(Tool, db_session))
