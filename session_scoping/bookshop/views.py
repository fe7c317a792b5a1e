"""The views of the bookshop."""
# mypy: allow-subclassing-any

import typing as t
from importlib.util import find_spec

import flask

from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.filters import BooleanEqualFilter
from flask_admin.contrib.sqla.filters import IntEqualFilter
from flask_admin.contrib.sqla.form import InlineOneToOneModelConverter
from flask_admin.model.form import InlineFormAdmin
from session_scoping.bookshop.handles import session_of
from session_scoping.bookshop.models import Book
from session_scoping.bookshop.models import Critic
from session_scoping.bookshop.models import Genre
from session_scoping.bookshop.models import Loan
from session_scoping.bookshop.models import Profile
from session_scoping.bookshop.models import Review
from session_scoping.bookshop.models import Stock


class GenreOptions:
    """The options of a filter, read from the database for each list."""

    def __init__(self, handle: t.Any) -> None:
        self.handle = handle

    def __iter__(self) -> t.Iterator[tuple[str, str]]:
        for genre in session_of(self.handle).query(Genre):
            yield str(genre.id), str(genre)


class GenreIntEqualFilter(IntEqualFilter):
    """A filter whose options are not fixed.

    Flask-Admin asks for the options once, and iterates over them for each list.
    """

    def get_options(self, view: t.Any) -> t.Any:
        return GenreOptions(view.session)


class BookView(ModelView):
    """With look-ups, inline children, editable cells, and filters of a relation."""

    column_list: t.Any = ("title", "author", "reviews")
    column_details_list: t.Any = ("title", "author", "reviews")
    column_export_list: t.Any = ("title", "author")
    column_searchable_list = ("title",)
    column_sortable_list: t.Any = ("title", ("author", "author.name"))
    column_filters: t.Any = ("author.name",)
    column_editable_list: t.Any = ("title", "pages")
    form_columns = ("title", "pages", "author", "genres", "reviews")
    form_ajax_refs: t.Any = {
        "author": {"fields": ("name",)},
        "genres": {"fields": ("name",)},
    }
    inline_models: t.Any = (
        (Review, {"form_ajax_refs": {"critic": {"fields": ("name",)}}}),
    )
    can_view_details = True
    can_export = True
    export_types = ["csv", "json"] if find_spec("tablib") else ["csv"]
    page_size = 2


class PlainBookView(ModelView):
    """With choices instead of look-ups, a fast delete, and a lazily loading export."""

    column_list: t.Any = ("title", "author", "genres", "genre_names")
    column_sortable_list: t.Any = ("title",)
    column_editable_list: t.Any = ("author",)
    column_export_list: t.Any = ("title", "reviews")
    form_columns = ("title", "author", "translator", "genres")
    can_view_details = True
    can_export = True
    fast_mass_delete = True
    page_size = 2
    can_set_page_size = True
    page_size_options = (2, 20, 50)

    def get_one(self, id: t.Any) -> t.Any:
        return super().get_one(id) or flask.abort(404)

    def get_detail_value(self, *_: object) -> t.Any:
        raise RuntimeError("an exception in the view")

    @expose("/refresh/")
    def refresh(self) -> str:
        """Build the form again, as for a field that has changed at run time."""
        self._refresh_forms_cache()
        return "refreshed"


class GenreView(ModelView):
    """With a relation from a table to itself, forms in modal windows, and a hook."""

    column_list: t.Any = ("name", "parent")
    column_filters: t.Any = (GenreIntEqualFilter(Genre.id, "Genre"),)
    form_columns = ("name", "parent")
    can_view_details = True
    create_modal = edit_modal = details_modal = True

    def on_model_change(self, form: t.Any, model: t.Any, is_created: bool) -> None:
        """Read the parent of the genre, and a genre of the handle's session."""
        session = session_of(self.session)
        with session.no_autoflush:
            str(model.parent)
            session.query(Genre).first()


class ProfileForm(InlineFormAdmin):
    form_columns = ("motto",)
    inline_converter = InlineOneToOneModelConverter


class CriticView(ModelView):
    """With rows in two tables, and a form for the single row of another table."""

    column_list: t.Any = ("name", "paper", "profile.motto")
    form_columns = ("name", "paper")
    inline_models: t.Any = (ProfileForm(Profile),)


class StockView(ModelView):
    """With a key of two columns, an enum, a boolean, and a hybrid property.

    The form reads the choices of a field, and the default of another field, by
    functions.
    """

    column_list: t.Any = ("label", "place", "cover", "sold", "book")
    column_searchable_list = ("label",)
    column_sortable_list: t.Any = ("place",)
    column_filters: t.Any = (BooleanEqualFilter(Stock.sold, "Sold"),)
    form_columns = ("shelf", "place", "cover", "sold", "note", "book")

    def __init__(self, model: t.Any, handle: t.Any, **options: t.Any) -> None:
        def books() -> t.Any:
            return session_of(handle).query(Book).order_by(Book.title)

        def beside_first() -> str:
            return f"beside {books()[0]}"

        self.form_args: t.Any = {
            "book": {"query_factory": books},
            "note": {"default": beside_first},
        }
        super().__init__(model, handle, **options)


class LoanView(ModelView):
    """With more rows than a page shows, in a second database."""

    column_list: t.Any = ("reader",)
    form_columns = ("reader",)
    page_size = 5
    can_export = True
    export_types = BookView.export_types


VIEWS: dict[type[ModelView], type] = {
    BookView: Book,
    PlainBookView: Book,
    GenreView: Genre,
    CriticView: Critic,
    StockView: Stock,
    LoanView: Loan,
}
