"""What went wrong, as a message and an exit code.

The one place that knows exit codes; errors of the domain know none. Unknown errors are faults of
the program and keep their traceback.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from app.cli import output
from app.settings import SettingsError
from app.store import UnusableStore
from domain.errors import PARAMETERS, Fault, GatebookError, InvalidRequest, NotFound, TryLater
from projections.storage import Lost, NotDurable, OutcomeUnknown, StorageError

FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
UNVERIFIED: Final = 5
UNAVAILABLE: Final = 6


_TOLD: Final = 40
"""Characters of an argument, in a message about it."""


@contextmanager
def naming(given: Sequence[str]) -> Iterator[None]:
    """Let what is said of each of these arguments, at its place, begin with it.

    A refusal itself repeats nothing of what it refuses: over HTTP it could be a secret.
    """
    try:
        yield
    except InvalidRequest as error:
        faults = tuple(_named(fault, given) for fault in error.faults)
        raise InvalidRequest(error.detail, faults) from None


def _named(fault: Fault, given: Sequence[str]) -> Fault:
    place = fault.pointer.rpartition("/")[2]
    if not place.isdecimal():
        return fault
    text = given[int(place)]
    named = ascii(text[:_TOLD]) + ("…" if len(text) > _TOLD else "")
    return Fault(fault.pointer, f"{named}: {fault.detail}")


def told(error: Exception) -> int | None:
    """Say on stderr what happened and give the exit code; None for an error that isn't ours."""
    text = describe(error)
    if text is None:
        return None
    output.talk(text)
    return code_of(error)


def code_of(error: Exception) -> int:
    """The exit code of an error."""
    match error:
        case SettingsError() | UnusableStore() | NotDurable() | InvalidRequest():
            return USAGE
        case NotFound():
            return NOT_FOUND
        case TryLater() | Lost() | OutcomeUnknown():
            return UNAVAILABLE
        case _:
            return FAILED


def describe(error: Exception) -> str | None:
    """What happened and what to do, for a person; None for an error that isn't ours."""
    match error:
        case SettingsError():
            return f"The settings can't be used.\n{error.detail}"
        case InvalidRequest():
            # A command line has no parameters: what is wrong with one says it all.
            first = [] if error.detail == PARAMETERS else [error.detail]
            return "\n".join([*first, *(fault.detail for fault in error.faults)])
        case GatebookError():
            return error.detail
        case NotDurable():
            return f"{error}.\nAn answered change could be lost there: set it up to be durable."
        case Lost():
            return f"The store can't be used now: {error}.\nRun: gatebook doctor"
        case OutcomeUnknown():
            return f"The store did not answer ({error}). Perhaps it was done: look, then repeat."
        case StorageError():
            return f"The store refused: {error}.\nRun: gatebook doctor"
        case _:
            return None
