"""An app made when its module is imported, with a session of the module to read with.

What is saved in the admin shows in the list only after the app is started again.
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
