"""A script that ends in app.run() without the `if __name__ …`, as beginners write it."""

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

app = Flask(__name__)
app.config.update(SECRET_KEY="x", SQLALCHEMY_DATABASE_URI="sqlite://")
db = SQLAlchemy(app)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)


Admin(app).add_view(ModelView(User, db))
with app.app_context():
    db.create_all()
app.run(port=59871)
