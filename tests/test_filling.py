"""What ``--write`` fills in: parents first, many-to-many, and values that are new."""
# mypy: allow-subclassing-any

import typing as t

import pytest
import sqlalchemy as sa
from sqlalchemy import delete
from sqlalchemy import orm
from wtforms import StringField
from wtforms import ValidationError

from flask_admin.contrib.sqla import ModelView
from session_scoping.drive.write.forms import Page
from session_scoping.recording import Recording
from session_scoping.rules.judge import judge
from session_scoping.rules.verdict import Outcome
from tests.test_writer import CategoryView
from tests.test_writer import nothing_logged
from tests.test_writer import operations
from tests.test_writer import plain
from tests.test_writer import ProductView
from tests.test_writer import pytestmark
from tests.test_writer import reasons
from tests.test_writer import Shop
from tests.test_writer import Size
from tests.test_writer import unexpected

__all__ = ["nothing_logged", "plain", "pytestmark"]


@pytest.fixture
def empty(plain: Shop) -> Shop:
    """Return a shop without a row."""
    with orm.Session(plain.engine) as session:
        for table in reversed(plain.models.product.metadata.sorted_tables):
            session.execute(delete(table))
        session.commit()
    return plain


def creates(recording: Recording) -> list[str]:
    """Return the views that create rows, in their order."""
    return list(
        dict.fromkeys(
            recording.views[request.view or 0].name
            for request in recording.requests
            if request.does == "create"
        )
    )


def test_a_row_to_choose_is_created_before_the_row_that_needs_it(empty: Shop) -> None:
    empty.add(ProductView, empty.models.product).inline_models = ()
    empty.add(CategoryView, empty.models.category)
    recording = empty.record_and_compare_rows()
    assert creates(recording) == ["CategoryView", "ProductView"]
    assert "create" not in reasons(recording)
    assert not recording.notes
    assert judge(recording).holds


def test_a_row_to_choose_that_cannot_be_deleted_is_removed(empty: Shop) -> None:
    class Lasting(CategoryView):
        can_delete = False

    empty.add(ProductView, empty.models.product).inline_models = ()
    empty.add(Lasting, empty.models.category)
    recording = empty.record_and_compare_rows()
    assert creates(recording) == ["Lasting", "ProductView"]
    [note] = recording.notes
    assert note.startswith("category: ")
    assert note.endswith("of those that were created to try: removed past the admin")


@pytest.mark.parametrize("deletes_in_mass", [False, True])
def test_a_many_to_many_relationship_is_filled_in(
    plain: Shop, deletes_in_mass: bool
) -> None:
    linked: list[int] = []

    class View(ModelView):
        fast_mass_delete = deletes_in_mass

        def after_model_change(self, form: t.Any, model: t.Any, created: bool) -> None:
            linked.append(len(model.categories))

    plain.add(View, plain.models.label)
    recording = plain.record_and_compare_rows()
    assert linked
    assert set(linked) == {1}
    assert not judge(recording).failures
    left = [note for note in recording.notes if "linked deleted rows" in note]
    assert bool(left) == deletes_in_mass


class SizeField(StringField):
    """It takes the values of an enumeration, as a list of tags does."""

    data: t.Any

    def _value(self) -> str:
        return str(self.data.value) if self.data else ""

    def process_formdata(self, texts: t.Any) -> None:
        self.data = Size(texts[0]) if texts else None


@pytest.mark.parametrize(
    ("column", "field"), [(sa.Enum("1", "2"), StringField), (sa.Enum(Size), SizeField)]
)
def test_a_text_for_an_enumeration_is_one_of_its_own(
    plain: Shop, column: t.Any, field: type
) -> None:
    """No session can load a row with another text, so that no list opens any more."""

    class Box(plain.models.product.__base__):  # type: ignore[name-defined]
        __tablename__ = "box"
        id = sa.Column(sa.Integer, primary_key=True)
        size = sa.Column(column, nullable=False)

    class View(ModelView):
        form_overrides: t.Any = {"size": field}
        column_editable_list = ("size",) if field is StringField else ()

    Box.metadata.create_all(plain.engine)
    plain.add(View, Box)
    recording = plain.record_and_compare_rows()
    assert {"create", "edit", "delete"} <= {*operations(recording)}
    assert "edit form" not in reasons(recording)  # with its own row
    assert not judge(recording).failures
    assert not recording.notes


def test_a_cell_that_takes_one_value_only_proves_nothing(plain: Shop) -> None:
    def currency(form: t.Any, field: t.Any) -> None:
        if field.data != "EUR":
            raise ValidationError("Not a valid currency.")

    class View(CategoryView):
        column_editable_list = ("name",)
        form_args: t.Any = {"name": {"validators": [currency]}}

    plain.add(View, plain.models.category)
    recording = plain.record_and_compare_rows()
    assert operations(recording)["inline edit name"] == 2
    assert unexpected(recording) == {}
    assert judge(recording).holds


def test_a_cell_that_does_not_change_is_reported(plain: Shop) -> None:
    class View(CategoryView):
        column_editable_list = ("name",)

        def update_model(self, form: t.Any, model: t.Any) -> bool:
            if "list_form_pk" in form:
                return True
            return bool(super().update_model(form, model))

    plain.add(View, plain.models.category)
    recording = plain.record_and_compare_rows()
    why = "answers 200, but name is as it was"
    assert unexpected(recording) == {"inline edit name": why}


def test_a_form_without_a_known_message_has_a_hint() -> None:
    assert Page("<form method=post><input name=name></form>").refusal == (
        "the form refuses it: the page was shown again without an error message that "
        "is known: print form.errors in the view's validate_form() to see why"
    )


def test_a_run_in_which_no_row_was_made_has_written_nothing(plain: Shop) -> None:
    class View(CategoryView):
        def validate_form(self, form: t.Any) -> bool:
            return False

    plain.add(View, plain.models.category)
    plain.add(CategoryView, plain.models.category, endpoint="other").can_create = False
    recording = plain.record_and_compare_rows()
    assert [view.row_made for view in recording.views] == [None, False, False]
    assert judge(recording).outcome == Outcome.NOTHING_WRITTEN
