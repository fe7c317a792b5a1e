"""Reads the pages of an admin: their forms, editable cells and error messages."""

import dataclasses
import json
import re
import typing as t
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser

BLANK = {"", "__None"}  # the options that choose nothing
BUTTONS = {"submit", "button", "reset", "image"}
# The kinds of fields, by what Flask-Admin's script makes of them.
ROLES = {
    "datepicker": "date",
    "datetimepicker": "datetime",
    "timepicker": "time",
    "select2-ajax": "ajax",
}

# A theme may show errors in its own way.
NO_MESSAGE = (
    "the page was shown again without an error message that is known: print "
    "form.errors in the view's validate_form() to see why"
)

# The values of each field, as they are posted.
FormData = dict[str, list[str]]


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
    read_only: bool = False
    allows_blank: bool = False
    multiple: bool = False
    checked: bool = False
    maxlength: int = 0
    minimum: float | None = None
    maximum: float | None = None
    format: str = ""
    url: str = ""  # to look up the choices
    errors: list[str] = dataclasses.field(default_factory=list)

    @property
    def is_plain(self) -> bool:
        """Does a person fill it in, and is it not a field of an inline child?"""
        hidden = self.kind in {"hidden", "file"} or self.read_only
        return not hidden and "-" not in self.name

    @property
    def offers_choices(self) -> bool:
        return self.kind in {"select", "radio", "ajax"}

    @property
    def choices(self) -> list[str]:
        """The options that choose something."""
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

    def next_prefix(self, form: "Form") -> str:
        """Return what the names of a new child's fields begin with."""
        field_of_child = re.compile(rf"{re.escape(self.name)}-(\d+)-")
        found = (field_of_child.match(field.name) for field in form.fields)
        numbers = [int(match[1]) for match in found if match]
        return f"{self.name}-{max(numbers, default=-1) + 1}-"

    def new(self, form: "Form") -> list[Field]:
        """Return the fields of a new child."""
        fields = Page(f"<form method=post>{self.template}</form>").forms[0].fields
        prefix = self.next_prefix(form)
        for field in fields:
            field.name = prefix + field.name
        return fields


@dataclass
class Form:
    """A form of a page that is sent by POST."""

    action: str = ""
    classes: str = ""
    id: str = ""
    fields: list[Field] = dataclasses.field(default_factory=list)
    inlines: list[Inline] = dataclasses.field(default_factory=list)

    @property
    def shown(self) -> FormData:
        """What a browser sends if the user changes nothing."""
        return gather((field, field.shown) for field in self.fields)

    @property
    def hidden(self) -> FormData:
        """The hidden fields: a token against forged requests, for example."""
        hidden = (field for field in self.fields if field.kind == "hidden")
        return gather((field, field.shown) for field in hidden)


@dataclass
class EditableCell:
    """A cell of a list that can be edited in place."""

    name: str
    kind: str
    csrf: str  # a token against forged requests
    format: str  # of a date or a time
    source: str  # its options, as JSON


def gather(pairs: t.Iterable[tuple[Field, list[str]]]) -> FormData:
    """Return what to post. Fields with the same name are posted together."""
    data: FormData = {}
    for field, values in pairs:
        data.setdefault(field.name, []).extend(values)
    return data


def json_choices(source: str, key: int | str) -> list[str] | None:
    """Return the value of each choice in a JSON list, or ``None`` if it is none.

    ``key``: of the value in a choice.
    """
    try:
        choices = json.loads(source)
        if isinstance(choices, list):
            return [str(choice[key]) for choice in choices]
    except (ValueError, LookupError, TypeError):
        pass
    return None


class Page(HTMLParser):
    """The forms of a page, its editable cells, and its error messages."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.forms: list[Form] = []
        self.cells: list[EditableCell] = []
        self._alerts: list[str] = []
        self._labels: dict[str, str] = {}  # by the id of their field
        self._fields_by_id: dict[str, Field] = {}
        # What the parser is inside of.
        self._form: Form | None = None
        self._divs: list[tuple[str, set[str]]] = []  # their ids and classes
        self._label_for = ""  # the id of the field that the open label is for
        self._in_textarea = False
        self._in_errors = False  # of the last field
        self._field: Field | None = None  # the last field
        self._text: list[str] = []  # since a label or an item of a list has begun
        self.feed(html)
        self.close()
        for name, field in self._fields_by_id.items():
            field.label = self._labels.get(name, "")

    @cached_property
    def form(self) -> Form | None:
        """The main form of the page, or ``None``."""
        of_admin = [form for form in self.forms if "admin-form" in form.classes.split()]
        return max(
            of_admin or self.forms, key=lambda form: len(form.fields), default=None
        )

    @property
    def complaints(self) -> str:
        """All errors, as the page words them."""
        named = [
            f"{field.label or field.name}: {', '.join(field.errors)}"
            for form in self.forms
            for field in form.fields
            if field.errors
        ]
        return "; ".join([*named, *filter(None, map(_one_line, self._alerts))])

    @property
    def refusal(self) -> str:
        """Why the page shows its form again, for a report."""
        return f"the form refuses it: {self.complaints or NO_MESSAGE}"

    @property
    def actions(self) -> list[str]:
        """The names of the bulk actions."""
        return re.findall(
            r"modelActions\.execute\(&?(?:#39;|['\"])([^'\"&]+)", self.html
        )

    # --------------------------------------------------------------------- reading

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        classes = set(attributes.get("class", "").split())
        if tag == "form":
            if attributes.get("method", "").lower() == "post":
                self._form = Form(
                    attributes.get("action", ""),
                    attributes.get("class", ""),
                    attributes.get("id", ""),
                )
                self.forms.append(self._form)
        elif tag == "div":
            self._open_div(attributes.get("id", ""), classes)
        elif tag == "a" and attributes.get("data-role", "").startswith("x-editable"):
            self._add_cell(attributes)
        elif tag == "ul":
            self._in_errors = bool(classes & {"input-errors", "text-danger"})
        elif tag in {"li", "label"}:
            self._text = []
        if tag == "label":
            self._label_for = attributes.get("for", "")
        if self._form is None:
            return
        if tag == "option" and self._field is not None:
            self._field.options.append(attributes.get("value", ""))
            if "selected" in attributes:
                self._field.selected.append(attributes.get("value", ""))
        elif tag in {"input", "select", "textarea"}:
            self._field = self._add_field(tag, attributes, self._form)
            self._in_textarea = tag == "textarea"

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "div" and self._divs:
            self._divs.pop()
        elif tag == "ul":
            self._in_errors = False
        elif tag == "label" and self._label_for:
            self._labels[self._label_for] = _one_line("".join(self._text)).rstrip(" *")
            self._label_for = ""
        elif tag == "li" and self._in_errors and self._field is not None:
            self._field.errors.append(_one_line("".join(self._text)))
        elif tag == "textarea" and self._field is not None:
            self._field.value = re.sub(r"^\r?\n", "", self._field.value)
            self._in_textarea = False

    def handle_data(self, data: str) -> None:
        self._text.append(data)
        if any("alert" in classes for _, classes in self._divs):
            self._alerts[-1] += data
        if self._divs and "inline-field-template" in self._divs[-1][1]:
            if self._form is not None:
                self._form.inlines[-1].template += data
        elif self._in_textarea and self._field is not None:
            self._field.value += data

    def _open_div(self, name: str, classes: set[str]) -> None:
        if "inline-field-template" in classes and self._form is not None and self._divs:
            self._form.inlines.append(Inline(self._divs[-1][0]))
        if "alert" in classes:
            self._alerts.append("")
        self._divs.append((name, classes))

    def _add_cell(self, attributes: dict[str, str]) -> None:
        kind = (
            "boolean"
            if "boolean" in attributes["data-role"]
            else attributes["data-type"]
        )
        if "multiple" in attributes["data-role"]:
            kind = "multiple"
        self.cells.append(
            EditableCell(
                attributes.get("name", ""),
                kind,
                attributes.get("data-csrf", ""),
                attributes.get("data-format", ""),
                attributes.get("data-source", ""),
            )
        )

    def _add_field(
        self, tag: str, attributes: dict[str, str], form: Form
    ) -> Field | None:
        kind = attributes.get("type", "text").lower() if tag == "input" else tag
        if kind in BUTTONS or "disabled" in attributes or "name" not in attributes:
            return None
        field = Field(
            attributes["name"],
            ROLES.get(attributes.get("data-role", ""), kind),
            value=attributes.get(
                "value", "on" if kind in {"checkbox", "radio"} else ""
            ),
            required="required" in attributes,
            read_only="readonly" in attributes,
            allows_blank="data-allow-blank" in attributes,
            multiple="multiple" in attributes or "data-multiple" in attributes,
            checked="checked" in attributes,
            maxlength=int(_number(attributes.get("maxlength", "")) or 0),
            minimum=_number(attributes.get("min", "")),
            maximum=_number(attributes.get("max", "")),
            format=attributes.get("data-date-format", ""),
            url=attributes.get("data-url", ""),
        )
        if field.kind == "ajax" and not field.multiple:
            field.required = field.required or not field.allows_blank
        if field.kind == "radio":
            field = _add_button(field, form)
        else:
            form.fields.append(field)
        self._fields_by_id.setdefault(attributes.get("id", field.name), field)
        return field


def _add_button(button: Field, form: Form) -> Field:
    """Return the field of a radio button: all buttons of one name are one field."""
    same = [field for field in form.fields if field.name == button.name]
    if not same:
        form.fields.append(button)
    field = same[0] if same else button
    field.options.append(button.value)
    if button.checked:
        field.selected.append(button.value)
    return field


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else None


def _one_line(text: str) -> str:
    return " ".join(text.split()).strip("× ").removesuffix(" x").removeprefix("x ")
