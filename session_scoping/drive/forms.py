"""The pages of an admin as a person sees them: forms, and values to fill in."""

import dataclasses
import re
import secrets
import typing as t
from dataclasses import dataclass
from datetime import datetime
from datetime import timedelta
from functools import cached_property
from html.parser import HTMLParser
from itertools import count

BLANK = {"", "__None"}  # the options that choose nothing
MARKER = re.compile(r"ss-[0-9a-f]+")
NUMBERS = {"int", "float", "Decimal"}  # types of columns
ROLES = {
    "datepicker": "date",
    "datetimepicker": "datetime",
    "timepicker": "time",
    "select2-ajax": "ajax",
}
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
BUTTONS = {"submit", "button", "reset", "image"}

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


@dataclass
class Field:
    """A field of a form."""

    name: str
    kind: str
    label: str = ""
    value: str = ""
    options: list[str] = dataclasses.field(default_factory=list)
    selected: list[str] = dataclasses.field(default_factory=list)
    required: bool = False
    fixed: bool = False  # read-only
    blank: bool = False  # is it allowed to be empty?
    multiple: bool = False
    checked: bool = False
    maxlength: int = 0
    minimum: float | None = None
    maximum: float | None = None
    format: str = ""
    url: str = ""  # to look up the choices
    errors: list[str] = dataclasses.field(default_factory=list)

    @property
    def chooses(self) -> bool:
        return self.kind in {"select", "radio", "ajax"}

    @property
    def choices(self) -> list[str]:
        return [option for option in self.options if option not in BLANK]

    @property
    def shown(self) -> list[str]:
        """What a browser sends if the user changes nothing."""
        if self.kind == "file":
            return []
        if self.kind == "checkbox":
            return [self.value] if self.checked else []
        if self.kind == "radio" or (self.kind == "select" and self.multiple):
            return self.selected
        if self.kind == "select":
            return (self.selected or self.options)[:1]
        return [self.value]


@dataclass
class Inline:
    """A form within a form, for any number of children of the row."""

    name: str
    template: str = ""

    def new(self, form: "Form") -> list[Field]:
        """Return the fields of a new child."""
        own = re.compile(rf"{re.escape(self.name)}-(\d+)-")
        numbers = [
            int(found[1]) for field in form.fields if (found := own.match(field.name))
        ]
        prefix = f"{self.name}-{max(numbers, default=-1) + 1}-"
        fields = Page(f"<form method=post>{self.template}</form>").forms[0].fields
        for field in fields:
            field.name = prefix + field.name
        return fields


@dataclass
class Form:
    """A form of a page that is sent by POST."""

    action: str = ""
    css: str = ""  # its class
    id: str = ""
    fields: list[Field] = dataclasses.field(default_factory=list)
    inlines: list[Inline] = dataclasses.field(default_factory=list)

    @property
    def shown(self) -> dict[str, list[str]]:
        """What a browser sends if the user changes nothing."""
        return gathered((field, field.shown) for field in self.fields)

    @property
    def hidden(self) -> dict[str, list[str]]:
        return gathered(
            (field, field.shown) for field in self.fields if field.kind == "hidden"
        )


@dataclass
class Cell:
    """A cell of a list that can be edited in place."""

    name: str
    kind: str
    csrf: str
    format: str
    source: str


def gathered(pairs: t.Iterable[tuple[Field, list[str]]]) -> dict[str, list[str]]:
    data: dict[str, list[str]] = {}
    for field, values in pairs:
        data.setdefault(field.name, []).extend(values)
    return data


class Page(HTMLParser):
    """The forms of a page, its editable cells, and its error messages."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.forms: list[Form] = []
        self.cells: list[Cell] = []
        self._alerts: list[str] = []
        self._labels: dict[str, str] = {}
        self._ids: dict[str, Field] = {}
        self._form: Form | None = None
        self._divs: list[tuple[str, set[str]]] = []
        self._field: Field | None = None  # the last field
        self._label = ""  # the id of the field that the open label is for
        self._writes = False  # inside of a textarea?
        self._text: list[str] = []
        self._errors = False  # inside of the last field's list of errors?
        self.feed(html)
        self.close()
        for name, field in self._ids.items():
            field.label = self._labels.get(name, "")

    @cached_property
    def form(self) -> Form | None:
        """The main form of the page, or ``None``."""
        ours = [form for form in self.forms if "admin-form" in form.css.split()]
        return max(ours or self.forms, key=lambda form: len(form.fields), default=None)

    @property
    def complaints(self) -> str:
        """All errors, as the page words them."""
        named = [
            f"{field.label or field.name}: {', '.join(field.errors)}"
            for form in self.forms
            for field in form.fields
            if field.errors
        ]
        return "; ".join([*named, *filter(None, map(_line, self._alerts))])

    @property
    def actions(self) -> list[str]:
        """The names of the bulk actions."""
        return re.findall(
            r"modelActions\.execute\(&?(?:#39;|['\"])([^'\"&]+)", self.html
        )

    # --------------------------------------------------------------------- reading

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        css = set(found.get("class", "").split())
        if tag == "form":
            if found.get("method", "").lower() == "post":
                self._form = Form(
                    found.get("action", ""), found.get("class", ""), found.get("id", "")
                )
                self.forms.append(self._form)
        elif tag == "div":
            self._div(found.get("id", ""), css)
        elif tag == "a" and found.get("data-role", "").startswith("x-editable"):
            self._cell(found)
        elif tag == "ul":
            self._errors = bool(css & {"input-errors", "text-danger"})
        elif tag in {"li", "label"}:
            self._text = []
        if tag == "label":
            self._label = found.get("for", "")
        if self._form is None:
            return
        if tag == "option" and self._field is not None:
            self._field.options.append(found.get("value", ""))
            if "selected" in found:
                self._field.selected.append(found.get("value", ""))
        elif tag in {"input", "select", "textarea"}:
            self._field = self._ask(tag, found, self._form)
            self._writes = tag == "textarea"

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "div" and self._divs:
            self._divs.pop()
        elif tag == "ul":
            self._errors = False
        elif tag == "label" and self._label:
            self._labels[self._label] = _line("".join(self._text)).rstrip(" *")
            self._label = ""
        elif tag == "li" and self._errors and self._field is not None:
            self._field.errors.append(_line("".join(self._text)))
        elif tag == "textarea" and self._field is not None:
            self._field.value = re.sub(r"^\r?\n", "", self._field.value)
            self._writes = False

    def handle_data(self, data: str) -> None:
        self._text.append(data)
        if any("alert" in css for _, css in self._divs):
            self._alerts[-1] += data
        if self._divs and "inline-field-template" in self._divs[-1][1]:
            if self._form is not None:
                self._form.inlines[-1].template += data
        elif self._writes and self._field is not None:
            self._field.value += data

    def _div(self, name: str, css: set[str]) -> None:
        if "inline-field-template" in css and self._form is not None and self._divs:
            self._form.inlines.append(Inline(self._divs[-1][0]))
        if "alert" in css:
            self._alerts.append("")
        self._divs.append((name, css))

    def _cell(self, found: dict[str, str]) -> None:
        kind = "boolean" if "boolean" in found["data-role"] else found["data-type"]
        if "multiple" in found["data-role"]:
            kind = "multiple"
        self.cells.append(
            Cell(
                found.get("name", ""),
                kind,
                found.get("data-csrf", ""),
                found.get("data-format", ""),
                found.get("data-source", ""),
            )
        )

    def _ask(self, tag: str, found: dict[str, str], form: Form) -> Field | None:
        kind = found.get("type", "text").lower() if tag == "input" else tag
        if kind in BUTTONS or "disabled" in found or "name" not in found:
            return None
        field = Field(
            found["name"],
            ROLES.get(found.get("data-role", ""), kind),
            value=found.get("value", "on" if kind in {"checkbox", "radio"} else ""),
            required="required" in found,
            fixed="readonly" in found,
            blank="data-allow-blank" in found,
            multiple="multiple" in found or "data-multiple" in found,
            checked="checked" in found,
            maxlength=int(_number(found.get("maxlength", "")) or 0),
            minimum=_number(found.get("min", "")),
            maximum=_number(found.get("max", "")),
            format=found.get("data-date-format", ""),
            url=found.get("data-url", ""),
        )
        if field.kind == "ajax" and not field.multiple:
            field.required = field.required or not field.blank
        if field.kind == "radio":  # all buttons of one name are one field
            same = (other for other in form.fields if other.name == field.name)
            button, field = field, next(same, field)
            field.options.append(button.value)
            if button.checked:
                field.selected.append(button.value)
        if not any(other is field for other in form.fields):
            form.fields.append(field)
        self._ids.setdefault(found.get("id", field.name), field)
        return field


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else None


def _line(text: str) -> str:
    return " ".join(text.split()).strip("× ").removesuffix(" x").removeprefix("x ")


# -------------------------------------------------------------------- what to put in


class RowValues(t.NamedTuple):
    """The values of a row. No other row of the run has them."""

    row: int
    start: int  # of the numbers of this run
    modest: bool = False  # keep numbers small

    @property
    def marker(self) -> str:
        return f"ss-{self.start + self.row:04x}"

    @property
    def number(self) -> int:
        return self.row if self.modest else 7000 + self.row

    def text(self, maxlength: int = 0, about: str = "", said: str = "") -> str:
        """Return a text for a field.

        ``about``: the name of the field. ``said``: the error of the last attempt.
        """
        for hints, words in (BY_ERROR, said), (BY_NAME, about.replace("_", " ")):
            for pattern, template in hints.items():
                if re.search(pattern, words, re.IGNORECASE):
                    values = {"marker": self.marker, "number": self.number}
                    return template.format(**values, small=self.row % 256)
        if 0 < maxlength < len(self.marker):
            return self.marker[-maxlength:]
        return self.marker

    def within(self, minimum: float | None, maximum: float | None) -> str:
        number = self.number
        if minimum is not None and number < minimum:
            number = int(minimum) + self.row
        if maximum is not None and number > maximum:
            lowest = int(minimum or 0)
            number = lowest + self.row % (int(maximum) - lowest + 1)
        return str(number)

    def moment(self, kind: str, pattern: str = "") -> str:
        moment = datetime(2001, 1, 1) + timedelta(days=self.row, minutes=self.row)
        pattern = pattern or FORMATS[kind]
        for token, code in TOKENS.items():
            pattern = pattern.replace(token, code)
        return moment.strftime(pattern)

    def value(self, field: Field, kind: str) -> str:
        """Return a value for a field. ``kind``: the type of its column, or empty."""
        if field.kind in FORMATS:
            return self.moment(field.kind, field.format)
        if field.kind in {"number", "range"} or kind in NUMBERS:
            return self.within(field.minimum, field.maximum)
        if kind in FORMATS:
            return self.moment(kind)
        hints = " ".join(field.errors)
        if kind in {"dict", "list"} and field.kind == "textarea":
            hints += " json"
        if kind == "UUID":
            hints += " uuid"
        return self.text(field.maxlength, f"{field.kind} {field.name}", hints)


class ValueMaker:
    """Makes the values of each row of a run."""

    def __init__(self) -> None:
        self.rows = count(1)
        self.start = secrets.randbelow(0xE000) + 0x1000
        self.markers: set[str] = set()

    def next(self, modest: bool = False) -> RowValues:
        """Return the values of a new row. ``modest``: keep numbers small."""
        made = RowValues(next(self.rows), self.start, modest)
        self.markers.add(made.marker)
        return made

    def marks(self, values: t.Iterable[str]) -> bool:
        """Does a value hold a marker of this run?"""
        found = (MARKER.search(value) for value in values)
        return any(marker and marker[0] in self.markers for marker in found)
