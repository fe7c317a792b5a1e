"""What was found: each source once in the log, then counted."""

import json
import threading
import typing as t
from collections import deque
from dataclasses import dataclass
from dataclasses import field
from textwrap import indent

import session_scoping.pages as pages
from session_scoping.monitor.safety import guarded
from session_scoping.monitor.safety import logger
from session_scoping.monitor.safety import Part
from session_scoping.rules.causes.cause import Cause
from session_scoping.rules.finding import Label
from session_scoping.rules.finding import Labelled

SUMMARY_AFTER = 300.0  # seconds between two lines about what was seen again
MOST_SOURCES = 200
LEFT_OUT = (
    f"{MOST_SOURCES} sources are known: further sources are neither logged nor counted "
    "until the app is started again"
)
MOST_ENDPOINTS = 20  # to remember of a source
HELD, POOL = "held", "pool"  # what is no rule, and is reported all the same


@dataclass(frozen=True)
class Finding:
    """Something that strays, with the line of the app that it comes from."""

    rule: str  # one of the seven, or `held`, or `pool`
    what: str  # what was seen, in a line
    request: str  # the method and the endpoint
    line: str = ""  # the line of code to look at first, if it is known
    places: tuple[Labelled, ...] = ()
    cause: Cause | None = None
    details: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The cause, or what was seen if the cause is not known."""
        return self.cause.name if self.cause else self.what

    @property
    def source(self) -> str:
        """The line that it comes from, or the cause, or else the rule.

        It is the label of a figure, and must not differ with numbers of threads.
        """
        return self.line or (self.cause.name if self.cause else self.rule)

    @property
    def change(self) -> str:
        """What to change, without the option of the check that ignores a session."""
        fix = self.cause.fix if self.cause else ""
        lines = fix.splitlines()
        return "\n".join(line for line in lines if "--leave-alone" not in line)

    @property
    def more(self) -> str:
        """The command that explains its cause or its rule. A full pool has none."""
        if self.cause:
            return pages.command(self.cause.page)
        return "" if self.rule in {HELD, POOL} else pages.command(self.rule)

    def __str__(self) -> str:
        lines = [f"{self.rule}: {self.what} ({self.request})"]
        lines += [f"   {place}" for place in self.places]
        lines += [f"   {detail}" for detail in self.details]
        if self.cause:
            lines.append(f"   cause: {self.cause.name}. {self.cause.sentence}")
            lines.append(f"   {Label.CHANGE}:")
            lines.append(indent(self.change, "      "))
        if self.more:
            lines.append(f"   {Label.MORE}: {self.more}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, t.Any]:
        """Return it as plain data."""
        return {
            "rule": self.rule,
            "what": self.what,
            "request": self.request,
            "line": self.line,
            "places": {str(place.label): place.text for place in self.places},
            "cause": self.cause.name if self.cause else None,
            "change": self.change or None,
            "more": self.more,
            "details": list(self.details),
        }


@dataclass
class Source:
    """A finding, and how often it was seen."""

    finding: Finding
    count: int = 0
    reported: int = 0  # how many of them the log has
    again_at: float = 0.0  # when it is logged again, if it is a full pool
    requests: list[str] = field(default_factory=list)  # other than the first

    def again(self, request: str) -> None:
        self.count += 1
        known = self.requests
        if request not in known and len(known) < MOST_ENDPOINTS:
            known.append(request)


Report = t.Callable[[Finding], object]


class Findings:
    """The findings of an app.

    A hook runs in the middle of what the app does. So it only adds to them, and
    ``flush`` logs them when the request is over.
    """

    def __init__(self, as_json: bool, report: Report, now: float) -> None:
        """Each of ``reports`` is called with a new finding, after it was logged."""
        self.as_json = as_json
        self.reports = [report]
        self.sources: list[Source] = []
        self.full = False  # was a source left out?
        self._full_logged = False
        self._by_key: dict[object, Source] = {}
        self._new: deque[Finding] = deque()
        self._summary_at = now + SUMMARY_AFTER
        self.reset_lock()

    def reset_lock(self) -> None:
        """Make a new lock: a forked process may have got one that is taken.

        The garbage collector may run while it is taken, and drop a session: that is a
        finding, too, on the same thread.
        """
        self._lock = threading.RLock()

    @guarded(Part.FINDINGS)
    def add(
        self, key: object, request: str, make: t.Callable[[], tuple[object, Finding]]
    ) -> Source | None:
        """Count a finding, and keep it if it is new. Returns its source.

        ``key`` is cheap, and alike only for what comes from one line. ``make`` returns
        the finding, and a key that other lines with the same cause may share. Without a
        source there are too many of them.
        """
        source = self._by_key.get(key)
        if source is None:
            shared, finding = make()
            with self._lock:
                source = self._by_key.get(shared)
                if source is None:
                    if len(self.sources) >= MOST_SOURCES:
                        self.full = True
                        return None
                    source = self._by_key[shared] = Source(finding)
                    self.sources.append(source)
                    self._new.append(finding)
                if len(self._by_key) < 10 * MOST_SOURCES:
                    self._by_key[key] = source
        self.count(source, request)
        return source

    def count(self, source: Source, request: str) -> None:
        """Count a source that was seen again."""
        with self._lock:
            source.again(request)

    @guarded(Part.FINDINGS)
    def add_again(
        self, key: object, request: str, make: t.Callable[[], Finding], now: float
    ) -> None:
        """Count a finding that is logged again when some minutes have passed."""
        source = self._by_key.get(key)
        if source is None or now >= source.again_at:
            finding = make()
            with self._lock:
                source = self._by_key.get(key)  # another thread may have made it now
                if source is None:
                    source = self._by_key[key] = Source(finding)
                    self.sources.append(source)
                if now >= source.again_at:
                    source.finding, source.again_at = finding, now + SUMMARY_AFTER
                    self._new.append(finding)
        self.count(source, request)

    def due(self, now: float) -> bool:
        """Is there something to log?"""
        return bool(self._new) or now >= self._summary_at or self.full

    @guarded(Part.FINDINGS)
    def flush(self, now: float) -> None:
        """Log what is new, and from time to time what was seen again."""
        while self._new:
            try:
                finding = self._new.popleft()
            except IndexError:  # another thread has logged it
                return
            for source in self.sources:
                if source.finding is finding:
                    source.reported = max(source.reported, 1)
            text = json.dumps(finding.to_json()) if self.as_json else str(finding)
            logger().warning("%s", text, extra={"finding": finding})
            for report in self.reports:
                report(finding)
        if self.full and not self._full_logged:
            self._full_logged = True
            text = json.dumps({"left out": LEFT_OUT}) if self.as_json else LEFT_OUT
            logger().warning("%s", text)
        if now >= self._summary_at:
            self._summary_at = now + SUMMARY_AFTER
            self._summarize()

    def _summarize(self) -> None:
        again = [source for source in self.sources if source.count > source.reported]
        if not again:
            return
        lines = []
        for source in again:
            times = source.count - source.reported
            source.reported = source.count
            where = f" at {source.finding.line}" if source.finding.line else ""
            often = "once" if times == 1 else f"{times} times"
            lines.append(f"{often}: {source.finding.title}{where}")
        if self.as_json:
            logger().warning("%s", json.dumps({"seen again": lines}))
        else:
            logger().warning("seen again:\n   %s", "\n   ".join(lines))
