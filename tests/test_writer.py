"""Operations that write are driven, and no row of the app is lost or changed."""
# mypy: allow-subclassing-any

import logging
import typing as t
from collections import Counter
from datetime import date
from enum import Enum
from importlib.metadata import version
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm
from wtforms import FileField
from wtforms import ValidationError
from wtforms.validators import InputRequired

from flask_admin import Admin
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from flask_admin.form import SecureForm
from flask_admin.model.widgets import XEditableWidget
from session_scoping.drive.record import record
from session_scoping.drive.write.databases import databases
from session_scoping.drive.write.driver import add_unseen
from session_scoping.drive.write.forms import Page
from session_scoping.drive.write.values import ValueMaker
from session_scoping.fixes import close_fails_and_is_kept
from session_scoping.fixes import closing_session
from session_scoping.recording import LIST
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.rules.judge import judge

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing a session object:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Yielding raw tuples:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Passing SelectField:DeprecationWarning"),
]

RELEASE = tuple(int(part) for part in version("flask-admin").split(".")[:2])
MARKER = "# broken here"
Column: t.Any = sa.Column  # it has as many types as there are SQLAlchemys

# The operations of a view that allows all of them, but for inline children.
EVERYTHING = {
    "create",
    "create, duplicate",
    "create, invalid",
    "create, against a constraint",
    "edit",
    "edit, changed",
    "bulk delete",
    "delete",
}

Rows = dict[str, list[tuple[str, ...]]]


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Models(t.NamedTuple):
    category: t.Any
    product: t.Any
    part: t.Any
    note: t.Any
    seat: t.Any
    ticket: t.Any
    parcel: t.Any
    manual: t.Any
    shelf: t.Any
    animal: t.Any
    label: t.Any


def make_models(base: t.Any) -> Models:
    class Category(base):
        __tablename__ = "category"
        id = Column(sa.Integer, primary_key=True)
        name = Column(sa.String(30), nullable=False)
        changes = Column(sa.Integer, default=0)

        def __str__(self) -> str:
            return str(self.name)

    class Product(base):
        __tablename__ = "product"
        __table_args__ = (sa.CheckConstraint("stock >= 0"),)
        id = Column(sa.Integer, primary_key=True)
        sku = Column(sa.String(12), unique=True, nullable=False)
        text = Column(sa.Text)
        stock = Column(sa.Integer, nullable=False)
        price = Column(sa.Numeric(10, 2))
        size = Column(sa.Enum(Size), nullable=False)
        sold = Column(sa.Boolean)
        since = Column(sa.Date)
        changed = Column(sa.DateTime)
        category_id = Column(sa.ForeignKey("category.id"), nullable=False)
        category = orm.relationship(Category)
        parts = orm.relationship("Part", back_populates="product")

    class Part(base):
        __tablename__ = "part"
        id = Column(sa.Integer, primary_key=True)
        name = Column(sa.String(8), nullable=False)
        product_id = Column(sa.ForeignKey("product.id"))
        product = orm.relationship(Product, back_populates="parts")

    class Note(base):
        __tablename__ = "note"
        id = Column(sa.Integer, primary_key=True)
        text = Column(sa.String(80))
        product_id = Column(sa.ForeignKey("product.id"))

    class Seat(base):
        __tablename__ = "seat"
        id = Column(sa.Integer, primary_key=True)
        name = Column(sa.String(30))

    class Ticket(base):
        """A ticket loses its seat when another ticket gets it."""

        __tablename__ = "ticket"
        id = Column(sa.Integer, primary_key=True)
        name = Column(sa.String(30))
        seat_id = Column(sa.ForeignKey("seat.id"))
        seat = orm.relationship(Seat, backref=orm.backref("ticket", uselist=False))

    class Parcel(base):
        """Its seat is deleted with it."""

        __tablename__ = "parcel"
        id = Column(sa.Integer, primary_key=True)
        name = Column(sa.String(30))
        seat_id = Column(sa.ForeignKey("seat.id"))
        seat = orm.relationship(Seat, cascade="all")

    class Manual(Note):
        """It spans two tables, and a third table links it to seats."""

        __tablename__ = "manual"
        id = Column(sa.ForeignKey("note.id"), primary_key=True)
        pages = Column(sa.Integer)
        seats = orm.relationship(
            Seat,
            secondary=sa.Table(
                "manual_seat",
                base.metadata,
                Column("manual_id", sa.ForeignKey("manual.id"), primary_key=True),
                Column("seat_id", sa.ForeignKey("seat.id"), primary_key=True),
            ),
        )

    class Shelf(base):
        __tablename__ = "shelf"
        row = Column(sa.String(20), primary_key=True)
        place = Column(sa.Integer, primary_key=True, autoincrement=False)
        name = Column(sa.String(20))

    class Animal(base):
        __tablename__ = "animal"
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}
        id = Column(sa.Integer, primary_key=True)
        kind = Column(sa.String(20), nullable=False)
        name = Column(sa.String(20), nullable=False)

    class Label(base):
        __tablename__ = "label"
        id = Column(sa.Integer, primary_key=True)
        name = Column(sa.String(20))
        categories = orm.relationship(
            Category,
            secondary=sa.Table(
                "label_category",
                base.metadata,
                Column("label_id", sa.ForeignKey("label.id"), primary_key=True),
                Column("category_id", sa.ForeignKey("category.id"), primary_key=True),
            ),
        )

    return Models(
        *(Category, Product, Part, Note, Seat, Ticket, Parcel, Manual, Shelf, Animal),
        Label,
    )


class Shop:
    """An app with an admin, and another engine on its database."""

    def __init__(self, handle: str, folder: Path) -> None:
        self.app = Flask("shop")
        self.app.secret_key = "shop"
        self.app.config["PROPAGATE_EXCEPTIONS"] = False
        url = f"sqlite:///{folder / 'shop.db'}"
        self.engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        self.handle: t.Any
        if handle == "db":
            self.app.config["SQLALCHEMY_DATABASE_URI"] = url
            db: t.Any = SQLAlchemy(self.app)
            close_fails_and_is_kept.fix(db)
            self.session = db.session
            self.handle = db if RELEASE >= (2, 1) else db.session
            self.models = make_models(db.Model)
        else:
            engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
            self.handle = self.session = closing_session.fix(engine)
            self.models = make_models(orm.declarative_base())

            @self.app.teardown_appcontext
            def remove_session(error: BaseException | None) -> None:
                self.session.remove()

        self.models.product.metadata.create_all(self.engine)
        with orm.Session(self.engine) as session:
            self.seed(session)
            session.commit()
        self.admin = Admin(self.app, name="Shop")

    def seed(self, session: orm.Session) -> None:
        seat, box = self.models.seat(name="1A"), self.models.seat(name="box")
        session.add(self.models.ticket(name="mine", seat=seat))
        session.add(self.models.parcel(name="mine", seat=box))
        tools = self.models.category(name="tools")
        hammer = self.models.product(
            sku="hammer",
            stock=3,
            price=12,
            size=Size.LARGE,
            since=date(2020, 2, 2),
            category=tools,
        )
        hammer.parts = [self.models.part(name="head"), self.models.part(name="grip")]
        session.add(hammer)

    def add(self, kind: type, model: t.Any, **options: t.Any) -> t.Any:
        view = kind(model, self.handle, **options)
        self.admin.add_view(view)
        return view

    @property
    def rows(self) -> Rows:
        found: Rows = {}
        with self.engine.connect() as connection:
            for table in self.models.product.metadata.sorted_tables:
                rows = connection.execute(sa.text(f"SELECT * FROM {table.name}"))
                found[table.name] = [tuple(map(str, row)) for row in rows]
        return found

    def record_and_compare_rows(self, **options: t.Any) -> Recording:
        """Drive the app, writing.  Afterwards all rows are as before."""
        before = self.rows
        recording = record(self.app, write=True, **options)
        assert self.rows == before
        return recording


@pytest.fixture(autouse=True)
def nothing_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A log record would keep an exception, and with it loaded rows."""
    caplog.set_level(logging.CRITICAL + 1)


@pytest.fixture(params=["db", "scoped_session"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(request.param, tmp_path)


@pytest.fixture
def plain(tmp_path: Path) -> Shop:
    return Shop("scoped_session", tmp_path)


class CategoryView(ModelView):
    form_columns = ("name",)


class PlainProductView(ModelView):
    form_excluded_columns = ("parts",)


class ProductView(ModelView):
    column_editable_list = ("text", "stock", "sold", "size")
    form_columns = (
        "sku",
        "text",
        "stock",
        "price",
        "size",
        "sold",
        "since",
        "changed",
        "category",
    )
    form_ajax_refs = {"category": {"fields": ("name",)}}
    form_args: t.Any = {"category": {"allow_blank": True}}


def posts(recording: Recording) -> list[Request]:
    return [request for request in recording.requests if request.method == "POST"]


def operations(recording: Recording) -> Counter[str]:
    """Count the operations that write and overtake no other request."""
    return Counter(
        request.does for request in posts(recording) if request.overtakes is None
    )


def reasons(recording: Recording) -> dict[str, str]:
    return {str(unseen.operation): unseen.why for unseen in recording.unseen}


def unexpected(recording: Recording) -> dict[str, str]:
    return {
        request.does: request.unexpected
        for request in recording.requests
        if request.unexpected
    }


def line_of(marker: str) -> int:
    """Return the line of this file that ends with a marker."""
    lines = Path(__file__).read_text().splitlines()
    [number] = [n for n, line in enumerate(lines, 1) if line.endswith(f"  {marker}")]
    return number


def test_each_operation_that_writes_is_driven_twice_and_has_its_effect(
    shop: Shop,
) -> None:
    shop.add(ProductView, shop.models.product).inline_models = ()
    recording = shop.record_and_compare_rows()
    done = operations(recording)
    cells = {f"inline edit {name}" for name in ProductView.column_editable_list}
    assert set(done) == EVERYTHING | cells
    assert min(done.values()) >= 2
    assert all(request.statements and request.uses for request in posts(recording))
    verdict = judge(recording)
    assert verdict.holds
    assert not verdict.failures
    assert not recording.unseen
    assert not recording.notes


def test_each_created_row_has_its_own_values_in_all_columns(shop: Shop) -> None:
    made: list[dict[str, t.Any]] = []

    class View(ProductView):
        def after_model_change(self, form: t.Any, model: t.Any, new: bool) -> None:
            if new:
                names = sa.inspect(model).mapper.columns.keys()
                made.append({name: getattr(model, name) for name in names})

    shop.add(View, shop.models.product)
    record(shop.app, write=True)
    assert len(made) >= 2
    assert all(value is not None for row in made for value in row.values())
    for column in "sku", "text", "stock", "price", "since", "changed":
        assert len({row[column] for row in made}) == len(made), column
    assert all(row["sku"].startswith("ss-") and row["sold"] for row in made)


def test_a_duplicate_is_refused_or_a_second_row(shop: Shop) -> None:
    shop.add(ProductView, shop.models.product)
    shop.add(CategoryView, shop.models.category)
    recording = record(shop.app, write=True)
    statuses = {
        (recording.views[request.view or 0].model, request.status)
        for request in posts(recording)
        if request.does == "create, duplicate" and not request.injected
    }
    assert statuses == {("Product", 200), ("Category", 302)}


def test_children_are_added_inline_and_removed(shop: Shop) -> None:
    class View(ModelView):
        form_columns = ("sku", "stock", "size", "category", "parts")
        inline_models = (shop.models.part,)

    shop.add(View, shop.models.product)
    recording = shop.record_and_compare_rows()
    assert operations(recording)["inline child of parts"] >= 2
    assert operations(recording)["inline child of parts, removed"] == 2
    assert not judge(recording).failures
    assert not recording.unseen
    assert not recording.notes


def test_a_fault_is_injected_at_each_step_that_writes(shop: Shop) -> None:
    class View(ModelView):
        column_editable_list = ("text",)
        form_columns = ("sku", "text", "stock", "size", "category", "parts")
        inline_models = (shop.models.part,)

    shop.add(View, shop.models.product)
    recording = shop.record_and_compare_rows(faults=True)
    failed: dict[str, set[str]] = {name: set() for name in operations(recording)}
    for request in posts(recording):
        if request.injected and request.does in failed:
            failed[request.does].add(request.injected.step.split()[0])
    assert {"INSERT", "COMMIT"} <= failed["create"]
    assert {"UPDATE", "COMMIT"} <= failed["edit, changed"]
    assert {"UPDATE", "COMMIT"} <= failed["inline edit text"]
    assert {"INSERT", "COMMIT"} <= failed["inline child of parts"]
    assert {"DELETE", "COMMIT"} <= failed["inline child of parts, removed"]
    assert {"DELETE", "COMMIT"} <= failed["bulk delete"]
    assert {"DELETE", "COMMIT"} <= failed["delete"]
    assert all(failed.values())
    assert judge(recording).holds
    assert not judge(recording).failures


def test_a_session_made_by_hand_when_a_row_is_saved_is_found(shop: Shop) -> None:
    kept = []

    class View(CategoryView):
        def on_model_change(self, form: t.Any, model: t.Any, new: bool) -> None:
            session = orm.Session(shop.session.get_bind())
            kept.append(session)
            session.query(shop.models.note).count()  # broken here

    shop.add(View, shop.models.category).session = shop.session
    assert judge(record(shop.app)).holds
    kept.clear()
    verdict = judge(record(shop.app, write=True))
    found = {violation.rule: violation.own for violation in verdict.violations}
    assert set(found) == {"single", "released"}
    assert {place.line for place in found.values() if place} == {line_of(MARKER)}


def test_without_write_nothing_is_written(shop: Shop) -> None:
    class View(CategoryView):
        def get_one(self, id: t.Any) -> t.Any:
            found = super().get_one(id)
            found.changes += 1
            shop.session.commit()
            return found

    shop.add(View, shop.models.category)
    before = shop.rows
    recording = record(shop.app)
    assert recording.writes
    assert not posts(recording)
    assert shop.rows == before


def test_with_write_a_page_that_is_read_writes_nothing_either(shop: Shop) -> None:
    class View(CategoryView):
        def get_query(self) -> t.Any:
            shop.session.add(shop.models.note(text="looked at"))
            shop.session.commit()
            return super().get_query()

    shop.add(View, shop.models.category)
    before = shop.rows
    recording = record(shop.app, write=True)
    by = (write.request for write in recording.writes if write.request is not None)
    assert {recording.requests[number].method for number in by} == {"GET", "HEAD"}
    assert shop.rows["category"] == before["category"]


def test_rows_that_the_admin_does_not_delete_are_removed_and_noted(shop: Shop) -> None:
    class View(CategoryView):
        def on_model_delete(self, model: t.Any) -> None:
            raise ValidationError("not on a Monday")

    shop.add(View, shop.models.category)
    recording = shop.record_and_compare_rows()
    found = unexpected(recording)
    assert set(found) == {"bulk delete", "delete"}
    assert "the row is still there" in found["delete"]
    assert "not on a Monday" in found["delete"]
    assert {request.does for request in judge(recording).failures} == set(found)
    [note] = recording.notes
    assert note.startswith("category: 4 rows that the admin did not delete")


def test_rows_that_cannot_be_removed_are_noted(plain: Shop) -> None:
    for engine in plain.session.get_bind(), plain.engine:

        @sa.event.listens_for(engine, "connect")
        def enforce(connection: t.Any, record: object) -> None:
            connection.execute("PRAGMA foreign_keys = ON")

    class View(PlainProductView):
        can_delete = False

        def after_model_change(self, form: t.Any, model: t.Any, new: bool) -> None:
            if new:
                plain.session.add(plain.models.note(product_id=model.id))
                plain.session.commit()

    plain.add(View, plain.models.product)
    before = plain.rows
    recording = record(plain.app, write=True)
    after = plain.rows
    assert [row for row in after["product"] if row in before["product"]]
    assert len(after["product"]) == len(before["product"]) + 2
    notes = "\n".join(recording.notes)
    assert notes.count("which was created to try, is still there") == 2
    assert "note has 2 rows more than before, which are left, written by View" in notes


def test_a_request_that_overtakes_another_writes_nothing(shop: Shop) -> None:
    shop.add(CategoryView, shop.models.category)
    recording = shop.record_and_compare_rows()
    for operation in ("create", "edit, changed", "bulk delete", "delete"):
        done = [request for request in recording.requests if request.does == operation]
        overtaking = [request for request in done if request.overtakes is not None]
        assert overtaking
        assert all(request.injected for request in overtaking)
        assert {request.overtakes for request in overtaking} < {
            request.number for request in done
        }
    assert judge(recording).holds
    assert recording.notes == []


def test_a_session_lent_to_a_concurrent_request_is_found(shop: Shop) -> None:
    lent: dict[str, t.Any] = {}

    class View(CategoryView):
        def create_model(self, form: t.Any) -> t.Any:
            own = shop.session()
            own.execute(sa.text("SELECT 1"))  # the requests overlap here
            try:
                lent.setdefault("session", own).execute(sa.text("SELECT 2"))  # and here
            finally:
                lent.clear()
            return super().create_model(form)

    shop.add(View, shop.models.category)
    verdict = judge(shop.record_and_compare_rows())
    assert {"single", "fresh"} <= {violation.rule for violation in verdict.violations}


def test_other_rows_that_a_view_writes_are_noted_and_left(shop: Shop) -> None:
    class View(CategoryView):
        def on_model_change(self, form: t.Any, model: t.Any, new: bool) -> None:
            shop.session.add(shop.models.note(text=model.name))
            first = shop.session.get(shop.models.category, 1)
            first.changes += 1

    shop.add(View, shop.models.category)
    recording = record(shop.app, write=True)
    assert not judge(recording).failures
    notes = "\n".join(recording.notes)
    assert "note has 8 rows more than before, which are left, written by View" in notes
    assert "category has 1 row changed: 1" in notes
    assert len(shop.rows["note"]) == 8
    assert len(shop.rows["category"]) == 1


def test_no_row_of_the_app_is_changed_or_deleted(shop: Shop) -> None:
    for model in shop.models.ticket, shop.models.parcel, shop.models.seat:
        shop.add(ModelView, model)
    recording = shop.record_and_compare_rows()
    assert operations(recording)["delete"] >= 6
    assert not judge(recording).failures


def test_a_form_that_requires_a_row_of_another_owner_is_noted(shop: Shop) -> None:
    class View(ModelView):
        form_args: t.Any = {
            "seat": {"validators": [InputRequired()], "allow_blank": False}
        }

    shop.add(View, shop.models.ticket)
    recording = shop.record_and_compare_rows()
    assert "would take a row" in reasons(recording)["create"]
    assert not posts(recording)


@pytest.mark.parametrize("deletes", [True, False])
def test_rows_in_two_tables_with_links_in_a_third_are_removed(
    shop: Shop, deletes: bool
) -> None:
    class View(ModelView):
        can_delete = deletes
        form_columns = ("text", "pages", "seats")
        form_args: t.Any = {"seats": {"validators": [InputRequired()]}}

    shop.add(View, shop.models.manual)
    recording = shop.record_and_compare_rows()
    assert operations(recording)["create"] == 2
    assert not judge(recording).failures


@pytest.mark.parametrize("deletes", [True, False])
def test_rows_with_a_key_of_two_columns_are_removed(shop: Shop, deletes: bool) -> None:
    class View(ModelView):
        can_delete = deletes
        form_columns = ("row", "place", "name")

    shop.add(View, shop.models.shelf)
    recording = shop.record_and_compare_rows()
    assert operations(recording)["edit, changed"] == 2
    assert not judge(recording).failures


def test_a_view_with_room_for_one_row_is_driven_with_that_row(shop: Shop) -> None:
    """Such as that of an association, with a pair of parents as its key."""

    class View(ModelView):
        form_columns = ("name",)

        def on_model_change(self, form: t.Any, model: t.Any, is_created: bool) -> None:
            model.row, model.place = "top", 1

    shop.add(View, shop.models.shelf)
    recording = shop.record_and_compare_rows()
    assert reasons(recording)["create"].startswith("the form refuses it: ")
    assert operations(recording).keys() >= {"edit, changed", "bulk delete", "delete"}
    assert not judge(recording).failures


def test_no_value_is_made_up_for_the_class_of_a_row(shop: Shop) -> None:
    class AnimalView(ModelView):
        form_columns = ("kind", "name")
        column_editable_list = ("kind", "name")

    shop.add(AnimalView, shop.models.animal)
    recording = shop.record_and_compare_rows()
    assert {"create", "edit, changed", "delete"} <= {*operations(recording)}
    assert [
        request.exception for request in recording.requests if request.exception
    ] == []


def test_forms_with_a_token_are_driven(shop: Shop) -> None:
    class View(CategoryView):
        form_base_class = SecureForm
        column_editable_list = ("name",)

    shop.add(View, shop.models.category)
    recording = shop.record_and_compare_rows()
    without = EVERYTHING - {"create, against a constraint"}
    assert set(operations(recording)) == without | {"inline edit name"}
    assert not judge(recording).failures
    assert not recording.unseen


def test_operations_that_a_view_does_not_allow_are_noted(shop: Shop) -> None:
    class ReadOnly(CategoryView):
        can_create = False

    class Growing(CategoryView):
        can_edit = can_delete = False

    shop.add(ReadOnly, shop.models.category, endpoint="read_only")
    shop.add(Growing, shop.models.category, endpoint="growing")
    recording = shop.record_and_compare_rows()
    left_out = {
        (recording.views[unseen.view].name, str(unseen.operation)): unseen.why
        for unseen in recording.unseen
    }
    assert left_out == {
        ("ReadOnly", "create"): "can_create is False",
        ("ReadOnly", "edit"): "there is no row of its own to do it with",
        ("ReadOnly", "bulk delete"): "there is no row of its own to do it with",
        ("ReadOnly", "delete"): "there is no row of its own to do it with",
        ("Growing", "edit"): "can_edit is False",
        ("Growing", "delete"): "can_delete is False",
    }


def test_the_error_of_a_form_that_refuses_a_made_up_value_is_noted(shop: Shop) -> None:
    def refuse(form: t.Any, field: t.Any) -> None:
        raise ValidationError("Only Latin names of beetles.")

    class View(CategoryView):
        form_args: t.Any = {"name": {"validators": [refuse]}}

    shop.add(View, shop.models.category)
    recording = record(shop.app, write=True)
    reason = reasons(recording)["create"]
    assert reason.startswith("the form refuses it: Name: Only Latin names of beetles.")
    assert not judge(recording).failures


def test_a_form_is_filled_in_again_to_fit_its_errors(shop: Shop) -> None:
    def address(form: t.Any, field: t.Any) -> None:
        if "@" not in field.data:
            raise ValidationError("Invalid e-mail address.")

    def few(form: t.Any, field: t.Any) -> None:
        if field.data > 100:
            raise ValidationError("At most 100.")

    class View(ModelView):
        form_columns = ("name", "changes")
        form_args: t.Any = {
            "name": {"validators": [address]},
            "changes": {"validators": [few]},
        }

    shop.add(View, shop.models.category)
    recording = shop.record_and_compare_rows()
    assert operations(recording)["delete"] >= 2
    assert not recording.unseen


def test_a_form_that_asks_for_a_file_is_noted(shop: Shop) -> None:
    class View(ModelView):
        form_columns = ("name", "logo")
        form_extra_fields = {"logo": FileField("Logo", [InputRequired()])}

    shop.add(View, shop.models.category)
    recording = record(shop.app, write=True)
    assert reasons(recording)["create"] == "Logo asks for a file"
    assert not posts(recording)


def test_a_required_choice_that_runs_out_is_noted(plain: Shop) -> None:
    class Loader(QueryAjaxModelLoader):
        def get_list(self, *args: t.Any, **options: t.Any) -> t.Any:
            has_room = len(plain.rows["product"]) < 3
            return super().get_list(*args, **options) if has_room else []

    class View(ProductView):
        form_ajax_refs: t.Any = {
            "category": Loader(
                "category", plain.session, plain.models.category, fields=("name",)
            )
        }
        form_args: t.Any = {}

    plain.add(View, plain.models.product)
    recording = plain.record_and_compare_rows()
    assert reasons(recording)["create, invalid"] == (
        "Category has nothing to choose from"
    )
    assert operations(recording)["delete"] >= 2


@pytest.mark.parametrize("answer", ["<p>tools</p>", "null", "[{}]", '{"1": "tools"}'])
def test_a_look_up_without_a_list_of_choices_is_noted(plain: Shop, answer: str) -> None:
    class View(ProductView):
        form_args: t.Any = {}

        @expose("/ajax/lookup/")
        def ajax_lookup(self) -> str:
            return answer

    plain.add(View, plain.models.product)
    why = reasons(plain.record_and_compare_rows())
    assert why["look-up of category"] == "it answers with no JSON list of choices"
    assert why["create"] == "Category has nothing to choose from"


def test_a_cell_without_a_list_of_choices_is_noted(plain: Shop) -> None:
    class Widget(XEditableWidget):
        def get_kwargs(self, field: t.Any, kwargs: t.Any) -> t.Any:
            return {**super().get_kwargs(field, kwargs), "data-source": "/sizes"}

    class View(ProductView):
        column_editable_list: t.Any = ("size",)

        def scaffold_list_form(self, *args: t.Any, **options: t.Any) -> t.Any:
            options["widget"] = Widget()
            return super().scaffold_list_form(*args, **options)

    plain.add(View, plain.models.product)
    recording = plain.record_and_compare_rows()
    assert reasons(recording) == {"inline edit size": "nothing to set it to"}


def test_a_reason_that_differs_only_in_noise_is_recorded_once() -> None:
    recording = Recording()
    for address in ("0x7f01", "0x7f02"):
        why = f"no row <object at {address}>"
        link = "(Background on this error at: https://sqlalche.me/e/x)"
        add_unseen(recording, 0, LIST, f"{why} {link}")
        add_unseen(recording, 0, LIST, f"{why} {link[:30]}")
        add_unseen(recording, 0, LIST, f"{why} [SQL: SELECT {address}] {link}")
    assert reasons(recording) == {"list": "no row <object>"}
    assert len(recording.unseen) == 1


def test_an_interrupt_leaves_no_row(shop: Shop) -> None:
    class View(CategoryView):
        def after_model_change(self, form: t.Any, model: t.Any, new: bool) -> None:
            raise KeyboardInterrupt

    shop.add(View, shop.models.category)
    before = shop.rows
    with pytest.raises(KeyboardInterrupt):
        record(shop.app, write=True)
    assert shop.rows == before


def test_a_row_that_fails_after_it_is_written_is_removed(shop: Shop) -> None:
    class View(CategoryView):
        def after_model_change(self, form: t.Any, model: t.Any, new: bool) -> None:
            raise RuntimeError("no mail server")

    shop.add(View, shop.models.category)
    recording = shop.record_and_compare_rows()
    assert "no mail server" in judge(recording).failures[0].exception


def test_a_row_of_the_app_with_the_key_of_a_deleted_row_stays(shop: Shop) -> None:
    class View(CategoryView):
        def after_model_delete(self, model: t.Any) -> None:
            theirs = {"id": model.id, "name": "theirs"}
            with shop.engine.begin() as connection:
                connection.execute(sa.insert(shop.models.category.__table__), theirs)

    shop.add(View, shop.models.category)
    recording = record(shop.app, write=True)
    assert not judge(recording).failures
    [note] = recording.notes
    assert note == "category has 4 rows more than before: 2; 3; 4; 5"
    assert [row[1] for row in shop.rows["category"]] == ["tools", *["theirs"] * 4]


def test_databases_are_named_without_their_password() -> None:
    app = Flask("shop")
    app.secret_key = "shop"
    models = make_models(orm.declarative_base())
    engine = sa.create_engine("sqlite://")
    engine.url = sa.engine.make_url("postgresql://me:secret@host/shop")
    app_session: t.Any = orm.scoped_session(orm.sessionmaker(engine))
    Admin(app).add_view(ModelView(models.seat, app_session))
    assert databases(app) == ["postgresql://me:***@host/shop"]
    assert not app_session.registry.has()


# ---------------------------------------------------------------------------- the forms


FORM = """
<form method="get"><input name="search"></form>
<div class="alert alert-danger"><button class="close">×</button>It  failed.</div>
<form method="POST" class="admin-form" action="?a=1">
  <label for="n">Name <strong>*</strong></label>
  <input id="n" name="name" required maxlength="3" value="a&amp;b">
  <ul class="input-errors"><li>Too short.</li></ul>
  <textarea name="text">\r\nfirst
second</textarea> after it
  <select name="one"><option value="__None"></option>
    <option value="1">x</option></select>
  <select name="many" multiple><option value="1">x</option>
    <option value="2" selected>y</option></select>
  <input type="radio" name="way" value="by air"><input type="radio" name="way"
    value="by sea" checked>
  <input type="checkbox" name="on" value="y" checked>
  <input type="checkbox" name="off">
  <input name="since" data-role="datepicker" data-date-format="DD.MM.YYYY">
  <input type="hidden" name="owner" data-role="select2-ajax" data-url="/look?a=1">
  <input type="hidden" name="csrf_token" value="t"><input name="gone" disabled>
  <div class="inline-field" id="parts">
    <div class="inline-field-list"><div id="parts-0" class="inline-field">
      <input type="hidden" name="parts-0-id" value="7"></div></div>
    <div class="inline-field-template">&lt;input name=&#34;size&#34; required&gt;</div>
  </div>
  <input type="submit" name="_add_another" value="Save">
</form>
"""


def test_a_form_has_the_values_that_a_browser_sends() -> None:
    form = Page(FORM).form
    assert form is not None
    assert form.shown == {
        "name": ["a&b"],
        "text": ["first\nsecond"],
        "one": ["__None"],
        "many": ["2"],
        "way": ["by sea"],
        "on": ["y"],
        "off": [],
        "since": [""],
        "owner": [""],
        "csrf_token": ["t"],
        "parts-0-id": ["7"],
    }
    assert form.hidden == {"csrf_token": ["t"], "parts-0-id": ["7"]}


def test_the_errors_of_a_page_are_found() -> None:
    assert Page(FORM).complaints == "Name: Too short.; It failed."


def test_a_new_child_gets_the_next_number() -> None:
    form = Page(FORM).form
    assert form is not None
    [inline] = form.inlines
    [field] = inline.new(form)
    assert (field.name, field.required) == ("parts-1-size", True)


def test_a_value_fits_its_field() -> None:
    form = Page(FORM).form
    assert form is not None
    fields = {field.name: field for field in form.fields}
    values = ValueMaker()
    first, second = values.next(), values.next()
    assert len(first.marker) == 7
    assert first.value(fields["name"], "str") == first.marker[-3:]
    assert first.value(fields["text"], "str") != second.value(fields["text"], "str")
    assert first.value(fields["since"], "date") == "02.01.2001"
    assert first.value(fields["text"], "Decimal") == "7001"
    assert first.within(0, 5) != second.within(0, 5)
    assert values.next(modest=True).number == 3
    assert first.text(name="home_email") == f"{first.marker}@example.com"
