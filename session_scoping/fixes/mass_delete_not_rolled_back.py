"""A delete action that rolls back what could not be committed."""

import typing as t

from flask_admin.actions import action


def fix(db: t.Any, ModelView: t.Any) -> t.Any:
    # begin
    class UserView(ModelView):
        @action("delete", "Delete", "Delete the selected records?")
        def action_delete(self, ids):
            try:
                super().action_delete(ids)
            finally:
                db.session.rollback()  # undoes the delete if its commit has failed

    # end
    return UserView
