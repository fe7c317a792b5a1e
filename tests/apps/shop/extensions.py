import typing as t

from flask_sqlalchemy import SQLAlchemy

db: t.Any = SQLAlchemy()
