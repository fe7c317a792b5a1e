"""The causes that are known by name, each with the change that fixes it."""

import session_scoping.rules.causes.contexts as contexts
import session_scoping.rules.causes.ends as ends
import session_scoping.rules.causes.handles as handles
import session_scoping.rules.causes.kept as kept
import session_scoping.rules.causes.streams as streams
import session_scoping.rules.causes.teardowns as teardowns
import session_scoping.rules.causes.threads as threads
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.rules.causes.cause import Cause
from session_scoping.rules.causes.cause import RECOGNISERS
from session_scoping.rules.sight import Sight

# In deciding order: the first cause that recognises a sight explains it.
CAUSES: tuple[Cause, ...] = (
    contexts.ended_elsewhere,
    handles.lost_connection,
    handles.lost_scoped_connection,
    contexts.pushed_context,
    contexts.outer_context,
    contexts.nested_context,
    handles.called_session,
    handles.lite_session,
    handles.raw_session,
    handles.unique_validator,
    ends.closed_early,
    streams.streamed_export,
    streams.streamed_rows,
    ends.mass_delete,
    ends.failed_commit,
    ends.kept_connection,
    teardowns.committing_teardown,
    teardowns.raising_teardown,
    teardowns.removed_by_some_requests,
    teardowns.closed_without_error,
    teardowns.removed_without_error,
    threads.looping_thread,
    threads.scoped_session_in_thread,
    threads.context_in_thread,
    threads.session_in_thread,
    threads.outside_request,
    threads.other_thread,
    kept.kept_since_start,
    handles.two_handles,
    handles.session_each_time,
    handles.small_scope,
    handles.never_removed,
    handles.never_closed,
    ends.autoflush,
    ends.read_while_saving,
    ends.not_rolled_back,
    kept.flask_admin,
    kept.mapper_event,
    streams.session_in_stream,
    kept.session_by_hand,
    kept.kept_session,
    kept.default_row,
    kept.cached_rows,
    kept.kept_rows,
)


def explain(sight: Sight, recording: Recording) -> tuple[Cause | None, Place | None]:
    """Return the first known cause that explains a sight, and the line of that cause.

    Either is ``None`` if it is not known.
    """
    for known in CAUSES:
        if found := RECOGNISERS[known](sight, recording):
            return known, found if isinstance(found, Place) else None
    return None, None
