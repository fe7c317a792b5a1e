"""The database of all the examples, and an engine for apps on SQLAlchemy alone."""

import os

from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.pool import StaticPool

URL = os.environ.get("DATABASE_URL", "sqlite://")


def connect(url: str = URL) -> Engine:
    if url != "sqlite://":
        return create_engine(url)
    shared = {"check_same_thread": False}
    return create_engine(url, poolclass=StaticPool, connect_args=shared)
