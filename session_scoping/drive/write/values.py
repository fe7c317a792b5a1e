"""Makes the values that are filled into forms: no two rows of a run have the same."""

import re
import secrets
import typing as t
from datetime import datetime
from datetime import timedelta
from itertools import count

from session_scoping.drive.write.forms import Field

MARKER = re.compile(r"ss-[0-9a-f]+")
NUMBERS = {"int", "float", "Decimal"}  # types of columns
# How a date or a time is written, by the kind of a field or the type of a column.
FORMATS = {
    "date": "YYYY-MM-DD",
    "datetime": "YYYY-MM-DD HH:mm:ss",
    "datetime-local": "YYYY-MM-DDTHH:mm",
    "time": "HH:mm:ss",
}
TOKENS = {
    "YYYY": "%Y",
    "MM": "%m",
    "DD": "%d",
    "HH": "%H",
    "mm": "%M",
    "ss": "%S",
}

# Values for text fields, by the name of the field.
BY_NAME = {
    r"e?-?mail": "{marker}@example.com",
    r"\burl\b|website|homepage": "https://example.com/{marker}",
}
# The same, by the error message of a form that refused a value.
BY_ERROR = {
    **BY_NAME,
    r"uuid": "00000000-0000-4000-8000-{number:012d}",
    r"\bip\b": "192.0.2.{small}",
    r"mac\b": "00:00:5e:00:53:{small:02x}",
    r"colou?r": "#{number:06x}",
    r"currency": "EUR",
    r"time ?zone": "UTC",
    r"json": "{{}}",
    r"number|integer|decimal|float": "{number}",
}


class RowValues(t.NamedTuple):
    """The values of a row. No other row of the run has them."""

    row: int
    start: int  # of the numbers of this run
    modest: bool = False  # after a refusal: keep numbers small

    @property
    def marker(self) -> str:
        """A text that shows that the row is the guard's own."""
        return f"ss-{self.start + self.row:04x}"

    @property
    def number(self) -> int:
        return self.row if self.modest else 7000 + self.row

    def value(self, field: Field, kind: str) -> str:
        """Return a value for a field. ``kind``: the type of its column, or empty."""
        if field.kind in FORMATS:
            return self.moment(field.kind, field.format)
        if field.kind in {"number", "range"} or kind in NUMBERS:
            return self.within(field.minimum, field.maximum)
        if kind in FORMATS:
            return self.moment(kind)
        error = " ".join(field.errors)
        if kind in {"dict", "list"} and field.kind == "textarea":
            error += " json"
        if kind == "UUID":
            error += " uuid"
        return self.text(field.maxlength, f"{field.kind} {field.name}", error)

    def text(self, maxlength: int = 0, name: str = "", error: str = "") -> str:
        """Return a text for a field.

        ``name``: the name of the field. ``error``: why the last value was refused.
        """
        for templates, words in (BY_ERROR, error), (BY_NAME, name.replace("_", " ")):
            for pattern, template in templates.items():
                if re.search(pattern, words, re.IGNORECASE):
                    return template.format(
                        marker=self.marker, number=self.number, small=self.row % 256
                    )
        if 0 < maxlength < len(self.marker):
            return self.marker[-maxlength:]
        return self.marker

    def within(self, minimum: float | None, maximum: float | None) -> str:
        """Return a number between two limits, ``None`` is no limit."""
        number = self.number
        if minimum is not None and number < minimum:
            number = int(minimum) + self.row
        if maximum is not None and number > maximum:
            lowest = int(minimum or 0)
            number = lowest + self.row % (int(maximum) - lowest + 1)
        return str(number)

    def moment(self, kind: str, pattern: str = "") -> str:
        """Return a date or a time. ``pattern``: how to write it, as ``DD.MM.YYYY``."""
        moment = datetime(2001, 1, 1) + timedelta(days=self.row, minutes=self.row)
        pattern = pattern or FORMATS[kind]
        for token, code in TOKENS.items():
            pattern = pattern.replace(token, code)
        return moment.strftime(pattern)


class ValueMaker:
    """Makes the values of each row of a run."""

    def __init__(self) -> None:
        self.rows = count(1)
        self.start = secrets.randbelow(0xE000) + 0x1000
        self.markers: set[str] = set()

    def next(self, modest: bool = False) -> RowValues:
        """Return the values of a new row. ``modest``: keep numbers small."""
        values = RowValues(next(self.rows), self.start, modest)
        self.markers.add(values.marker)
        return values

    def has_marker(self, content: t.Iterable[str]) -> bool:
        """Does the content of a row hold a marker of this run?"""
        found = (MARKER.search(value) for value in content)
        return any(marker and marker[0] in self.markers for marker in found)
