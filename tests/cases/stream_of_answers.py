"""Haohao-end/openagent issue 136: an answer is streamed word by word; in the generator the rows of the
view are detached ("Instance is not bound to a Session; attribute refresh operation cannot proceed")."""

import os
import tempfile

from flask import Flask
from flask import request
from flask import Response
from flask import stream_with_context
from flask_sqlalchemy import SQLAlchemy

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

db = SQLAlchemy()


class Conversation(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(40))
    messages = db.relationship("Message")


class Message(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    text = db.Column(db.String(100))
    conversation_id = db.Column(db.ForeignKey("conversation.id"))


def create_app(plain):
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite:///" + os.path.join(tempfile.mkdtemp(), "m.db"),
    )
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add(Conversation(title="first"))
        db.session.commit()

    @app.post("/ask/<int:number>")
    def ask(number):
        conversation = db.session.get(Conversation, number)
        question = Message(text=request.form["text"], conversation_id=number)
        db.session.add(question)
        db.session.commit()

        def words():
            for word in ("it", "depends"):
                yield f"{conversation.id} {question.id} {word}\n"  # reported

        if plain:
            conversation_id, question_id = conversation.id, question.id
            parts = (
                f"{conversation_id} {question_id} {word}\n"
                for word in ("it", "depends")
            )
            return Response(parts)
        return Response(stream_with_context(words()))

    Admin(app).add_view(ModelView(Conversation, db.session))
    return app


def broken():
    return create_app(False)


def fixed():
    return create_app(True)


def visit(app):
    client = app.test_client()
    for _ in range(2):
        try:
            client.post("/ask/1", data={"text": "why"}).get_data()
        except Exception as error:
            print("the client got", type(error).__name__)


def visit_status(app):
    client = app.test_client()
    for _ in range(2):
        assert client.post("/ask/1", data={"text": "why"}).status_code == 200
