"""The picture: a column for each request, and a bar for each session.

``picture.js`` draws it. A browser without JavaScript shows the paths of ``Picture``.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.rules.rules import Rule
from session_scoping.rules.verdict import count
from session_scoping.rules.verdict import listed
from session_scoping.rules.verdict import Verdict

FEW = 3  # the broken sessions that the description names


@dataclass(frozen=True)
class Bar:
    """A session, from its first use until it was closed, in columns."""

    session: int
    first: int | None  # the column; ``None``: before or outside of all requests
    last: int | None  # the column; ``None``: outside of all requests
    open: bool  # was it never closed, or is it kept?
    rules: tuple[Rule, ...]  # that it breaks

    @property
    def in_one_request(self) -> bool:
        """Does it end in the request in which it begins?"""
        return not self.open and self.first is not None and self.first == self.last

    @property
    def is_outside(self) -> bool:
        """Was it used outside of all requests?"""
        return self.first is None and self.last is None


class Picture:
    """The columns and the bars of a verdict."""

    def __init__(self, verdict: Verdict) -> None:
        """Lay out the sessions of a verdict."""
        self.verdict = verdict
        self.columns = sorted(
            verdict.recording.requests, key=lambda one: (one.started, one.number)
        )
        rules: dict[int, dict[Rule, None]] = defaultdict(dict)
        for violation in verdict.violations:
            for number in violation.sessions:
                rules[number][violation.rule] = None
        bars = (
            self._bar(session, tuple(rules[session.number]))
            for session in verdict.recording.sessions
        )
        self.bars = sorted(
            bars, key=lambda bar: (-1 if bar.first is None else bar.first, bar.session)
        )

    @cached_property
    def _column(self) -> dict[int, int]:
        """The column of each request, by its number."""
        return {request.number: at for at, request in enumerate(self.columns)}

    @cached_property
    def _starts(self) -> list[float]:
        return [request.started for request in self.columns]

    @cached_property
    def _uses(self) -> dict[int, list[tuple[int, bool]]]:
        """The columns in which a session was used, and whether each closed it."""
        uses = defaultdict(list)
        for column, request in enumerate(self.columns):
            for use in request.uses:
                uses[use.session].append((column, use.closed))
        return uses

    def _bar(self, session: Session, rules: tuple[Rule, ...]) -> Bar:
        uses = self._uses[session.number]
        first = None
        if session.born_in is not None:
            first = uses[0][0] if uses else self._column[session.born_in]
        is_open = session.kept or not session.closed
        return Bar(session.number, first, self._last(session, first), is_open, rules)

    def _last(self, session: Session, first: int | None) -> int | None:
        uses = self._uses[session.number]
        if session.kept or not session.closed:
            return len(self.columns) - 1 if self.columns else None
        if uses and uses[-1][1]:
            return uses[-1][0]
        if first is None and not uses:
            return None
        begun = bisect_right(self._starts, session.released) - 1
        return max([first or 0, begun, *(column for column, _ in uses[-1:])])

    @property
    def unused(self) -> list[Request]:
        """The requests that used no session."""
        return [request for request in self.columns if not request.uses]

    @property
    def description(self) -> str:
        """What the picture shows, in words."""
        broken = [bar for bar in self.bars if bar.rules]
        rest = [bar for bar in self.bars if not bar.rules]
        inside = [bar for bar in rest if not bar.is_outside]
        outside = [bar for bar in rest if bar.is_outside]
        short = [bar for bar in inside if bar.in_one_request]
        other = "other " if broken else ""
        parts = [f"{self._named(bar)}." for bar in broken[:FEW]]
        if len(broken) > FEW:
            parts.append(f"{len(broken) - FEW:,} more sessions break a rule.")
        if inside:
            parts.append(_ending(short, inside, other))
        if outside:
            was = "was" if len(outside) == 1 else "were"
            number = count(outside, f"{other}session")
            parts.append(f"{number} {was} used outside of all requests.")
        if self.unused:
            one = len(self.unused) == 1
            uses = (
                "uses no session: its column is"
                if one
                else ("use no session: their columns are")
            )
            parts.append(f"{count(self.unused, 'request')} {uses} empty.")
        return " ".join(parts)

    def _named(self, bar: Bar) -> str:
        """Describe a broken session."""
        uses = len(self._uses[bar.session])
        served = f"serves {uses:,} request{'' if uses == 1 else 's'}"
        end = ", and is never closed" if bar.open else ""
        return (
            f"Session {bar.session} breaks {listed([*bar.rules], len(Rule))}: it "
            f"{served}{end}"
        )

    # -------------------------------------------------------------- without JavaScript

    @property
    def margin(self) -> int:
        """The width of what is before the first request and after the last."""
        return max(1, len(self.columns) // 40)

    @property
    def size(self) -> tuple[int, int]:
        """The width and the height, where a column and a row are 1."""
        return len(self.columns) + 2 * self.margin, max(1, len(self.bars))

    @property
    def view_box(self) -> str:
        """What the picture shows: all rows, and some space above and below."""
        width, rows = self.size
        space = rows / 20
        return f"0 {-space:.2f} {width} {rows + 2 * space:.2f}"

    @property
    def height(self) -> int:
        """The height in pixels."""
        return min(320, 16 * max(2, len(self.bars)))

    @property
    def thickness(self) -> float:
        """The height of a bar in pixels."""
        return round(max(1.0, 0.75 * self.height / self.size[1]), 1)

    def path(self, broken: bool) -> str:
        """Return the broken or the other bars as a path of SVG: a line for each."""
        steps = []
        x = y = 0  # where the last line has ended
        for row, bar in enumerate(self.bars):
            if bool(bar.rules) != broken:
                continue
            start = 0 if bar.first is None else bar.first + self.margin
            stop = self.margin if bar.last is None else bar.last + 1 + self.margin
            if bar.open:
                stop = self.size[0]
            steps.append(f"m{start - x} {row - y}h{stop - start}")
            x, y = stop, row
        return "".join(steps)

    @property
    def stripes(self) -> str:
        """Return every second group of requests to one view as a path of SVG."""
        steps = []
        columns = list(enumerate(self.columns))
        groups = groupby(columns, key=lambda pair: pair[1].view)
        for number, (_, group) in enumerate(groups):
            [(first, _), *rest] = group
            if number % 2 == 0:
                width, tall = len(rest) + 1, self.size[1]
                steps.append(
                    f"M{first + self.margin} {-tall}h{width}v{3 * tall}h{-width}z"
                )
        return "".join(steps)


def _ending(short: list[Bar], bars: list[Bar], other: str) -> str:
    """Say how many of the bars end in the request in which they begin."""
    if len(bars) == 1:
        does = "ends" if short else "does not end"
        return f"1 {other}session {does} in the request in which it began."
    number = "All" if len(short) == len(bars) else f"{len(short):,} of the"
    return (
        f"{number} {count(bars, f'{other}session')} end in the request in which they "
        "began."
    )
