"""`gatebook audit replay`: a user as its events add up, then and step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import rich_click as click

from app import bootstrap
from app.as_of import Moment
from app.cli import output
from app.cli.access import opened
from app.cli.administering import find
from app.cli.progress import progress
from app.cli.times import Time
from app.clock import now
from app.replay import Replay, SessionState, StateItem, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER: Final = ("SESSION_ID", "KIND", "STARTED_AT", "LAST_USED_AT", "EXPIRES_AT", "GENERATION")
_WIDTHS: Final = (22, 7, 27, 27, 27, 0)


@click.command("replay")
@click.argument("user")
@click.option("--at", type=Time(), help="As of this time, after all that happened by then.")
@click.option("--position", type=click.IntRange(min=1), help="As of this position of the log.")
@click.option("--steps", is_flag=True, help="Every event, and what it changed.")
@output.json_option
def replay(user: str, at: int | None, position: int | None, *, steps: bool, as_json: bool) -> None:
    """Fold a user's events from the first one on, and print the state.

    As it is now, or as it was then: read from the log alone, whatever the tables say. Sessions
    are those that weren't ended; one that has run out says so. EXPIRES_AT is the absolute limit.
    Who was erased since has no name at any time.

    With --steps every event comes first, with each member that it changed; the last line of
    --json is the state.
    """
    if at is not None and position is not None:
        msg = "Give --at or --position, not both."
        raise click.UsageError(msg)
    with opened() as access:
        store, policy = access.store, bootstrap.policy_of(access.settings)
        moment, user_key = Moment(at, position), find(access, user).user_key
        replayed = Replay(store.log, store.vault, policy, user_key, moment, now())
        if steps:
            for page in replayed.read():
                found = map(replayed.step, page)
                if as_json:
                    output.json_lines(found)
                else:
                    output.data(line for step in found for line in _lines(step))
        else:
            with progress("Events replayed", replayed.length) as advance:
                for page in replayed.read():
                    advance(len(page))
        state = replayed.state()
    if as_json:
        output.json_lines([state])
    else:
        output.data([*([""] if steps else []), *_state(state)])


def _lines(step: Step) -> Iterator[str]:
    yield output.columns((str(step.position), 6), (step.time, 27), (step.type, 28), (step.actor, 0))
    for change in step.changes:
        before, after = _text(change.before), _text(change.after)
        yield f"        {output.shown(change.member)}: {before} -> {after}"


def _state(item: StateItem) -> Iterator[str]:
    members = msgspec.structs.asdict(item)
    sessions = members.pop("sessions")
    for name, value in members.items():
        yield output.columns((name, 14), (_text(value), 0))
    if sessions:
        yield ""
        yield _row(*_HEADER)
        yield from map(_session, sessions)


def _session(item: SessionState) -> str:
    run_out = "" if item.live else " (run out)"
    return _row(
        item.session_id,
        item.kind,
        item.started_at,
        item.last_used_at,
        item.expires_at,
        f"{item.generation}{run_out}",
    )


def _row(*cells: str) -> str:
    return output.columns(*zip(cells, _WIDTHS, strict=True))


def _text(value: object) -> str:
    match value:
        case None | ():
            return "-"
        case tuple():
            return output.shown(" ".join(map(str, value)))
        case dict():
            return output.shown(" ".join(f"{name}={each}" for name, each in value.items()))
        case _:
            return output.shown(str(value))
