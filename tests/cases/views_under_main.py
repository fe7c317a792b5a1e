"""The views are added under `if __name__ == "__main__"`, as in 9 of the 10 SQLAlchemy
examples of Flask-Admin itself and in what was made from them: the message does not say so.
"""

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

app = Flask(__name__)
app.config.update(SECRET_KEY="x", SQLALCHEMY_DATABASE_URI="sqlite://")
db = SQLAlchemy(app)
admin = Admin(app)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)


if __name__ == "__main__":
    admin.add_view(ModelView(User, db))
    with app.app_context():
        db.create_all()
    app.run()
