"""Drives the operations of an admin one by one, in any order, as tests are run."""

import typing as t
from contextvars import Context

import flask

from session_scoping.drive.client import MakeClient
from session_scoping.drive.crawler import Crawler
from session_scoping.drive.operations import plan
from session_scoping.drive.operations import Task
from session_scoping.drive.record import silence
from session_scoping.drive.skip import Skip
from session_scoping.recording import LIST
from session_scoping.recording import Recording
from session_scoping.watch.recorder import Recorder


class DrivenApp:
    """An app whose operations are driven one by one, each with its own recording.

    ``tasks`` is what there is to drive, ``lists`` the list of each SQLAlchemy view.
    """

    def __init__(
        self, app: flask.Flask, recorder: Recorder, skip: t.Sequence[str]
    ) -> None:
        """``recorder`` has watched the app being built, and is running.

        ``skip``: patterns of endpoints that are not requested. Raises ``CannotTell`` if
        no endpoint matches one of them, or if there is nothing to drive.
        """
        self.app = app
        self.skip = Skip(app, skip).patterns
        self.tasks = plan(app, recorder)
        self.lists = {task.view: task for task in self.tasks if task.operation == LIST}
        self._recorder = recorder
        self._crawler: Crawler | None = None

    def drive(self, task: Task, client: MakeClient | None) -> Recording:
        """Drive an operation, and return the recording of it.

        What the client could not see is in the ``unseen`` of the recording. The first
        call makes the test clients. The app is driven in no context, whatever fixtures
        push.
        """
        return Context().run(self._drive, task, client)

    def _drive(self, task: Task, client: MakeClient | None) -> Recording:
        with self._recorder, silence():
            if self._crawler is None:
                self._crawler = Crawler(
                    self.app, self._recorder, client, skip=self.skip
                )
            crawler = self._crawler
            # A person begins at the list. Its own test may run elsewhere.
            first = self.lists.get(task.view, task)
            with crawler.reading():
                if task != first and first.view not in crawler.pages:
                    self._drive_alone(crawler, first)
                self._drive_alone(crawler, task)
            if task != first and task.view in crawler.refused:
                crawler.unseen(task, f"its list {crawler.refused[task.view]}")
        return self._recorder.recording

    def _drive_alone(self, crawler: Crawler, task: Task) -> None:
        """Drive an operation, and forget what was recorded before it."""
        self._recorder.clear()
        self._recorder.learn(self.app)
        crawler.drive(task)
