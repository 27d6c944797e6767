"""`gatebook projections`: how far each view is, and filling one again beside its live table."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import rich_click as click

from app.cli import failure, output
from app.cli.access import opened
from app.cli.progress import progress
from app.clock import now
from app.eventstore.feed import LogFeed
from app.eventstore.log import read_head
from app.projection_list import items
from app.rebuilding import rebuild_of
from app.verifying.store import verify_views
from projections.leftovers import sweep
from projections.live import find, newest, read_pointers
from projections.rebuild import Differs, Gone, Outcome, Stopped, Swapped
from projections.rebuild_state import SET_DIGEST, cancel, read_state
from projections.registry import PROJECTIONS
from projections.runner import Follower

if TYPE_CHECKING:
    from app.projection_list import ProjectionItem
    from app.verifying.store import Report
    from projections.rebuild_state import State
    from projections.storage import Storage

_HEADER: Final = ("NAME", "VERSION", "MODE", "STATE", "POSITION", "LAG", "DIGEST")
_NAMES: Final = tuple(each.name for each in newest(PROJECTIONS))


@click.group("projections")
def command() -> None:
    """Show the projections, rebuild them, and compare them with the log."""


@command.command("status")
@output.json_option
def status(*, as_json: bool) -> None:
    """Show how far each projection is, and what stopped one.

    Inline ones are written with the events; following ones soon after, by a running service.
    """
    with opened(views=False) as access, access.store.storage.snapshot() as rows:
        moment = now()
        found, state = items(rows, moment), read_state(rows)
    if as_json:
        output.json_lines(found)
        return
    output.data([_line(*_HEADER), *map(_row, found)])
    for item in found:
        if item.error is not None:
            output.talk(f"{item.name}: {item.error.type} at {item.error.position}. "
                        f"{item.error.detail}")  # fmt: skip
        if item.rebuild is not None:
            place = f"at {item.rebuild.position} of {item.head}"
            if state is None or state.lease_until > moment:
                output.talk(f"{item.name}: being rebuilt, {place}.")
            else:
                output.talk(f"{item.name}: its rebuild was broken off {place}. Run it again, or "
                            "give it up with --cancel.")  # fmt: skip


@command.command("rebuild")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them, one after another.")
@click.option("--accept", is_flag=True, help="Swap even where the live table differs.")
@click.option("--cancel", "give_up", is_flag=True, help="Give up the one under way instead.")
@click.pass_context
def rebuild(
    ctx: click.Context, names: tuple[str, ...], *, every: bool, accept: bool, give_up: bool
) -> None:
    """Fill a view again from the first event, beside the one that is live, and swap.

    The service goes on meanwhile. It may be broken off: run again, it goes on where it was, with
    that view first. Should the live table differ from what the log says, the rows are named, the
    exit code is 5, and it stays unless --accept is given. With --cancel the one under way is given
    up, whoever is at it; NAME says of which view it may be.
    """
    if give_up:
        if every or accept or len(names) > 1:
            msg = "Give --cancel alone, or with the name of one projection."
            raise click.UsageError(msg)
        _given_up(*names)
        return
    wanted = _wanted(names, every=every)
    with opened(views=False) as access:
        for name in _broken_off_first(access.store.storage, wanted):
            outcome = _rebuilt(access.store.storage, name, accept=accept)
            code = _told(outcome)
            sweep(access.store.storage, PROJECTIONS)
            if code:
                ctx.exit(code)


@command.command("verify")
@output.json_option
@click.pass_context
def verify(ctx: click.Context, *, as_json: bool) -> None:
    """Fold the log anew, beside the store, and compare every view with what comes of it.

    Rows that differ are named, and the exit code is 5. Changes nothing but the digests that
    `status` shows, when all is well.
    """
    with opened() as access:
        storage, vault = access.store.storage, access.store.vault
        with storage.snapshot() as rows:
            before = read_pointers(rows)
            with progress("Verifying", read_head(rows).position) as advance:
                found = verify_views(rows, vault, advance)
        _show(found, as_json=as_json)
        if not found.ok:
            output.talk("The views are not what the log says. Find out who changed them, then "
                        "run: gatebook projections rebuild NAME --accept")  # fmt: skip
            ctx.exit(failure.UNVERIFIED)
        with storage.transaction() as writing:
            for name, digest in found.digests.items():
                writing.execute(SET_DIGEST, (digest, before[name].position, name))
            writing.commit()


@command.command("retry")
@click.pass_context
def retry(ctx: click.Context) -> None:
    """Let following projections that stopped at an event try it again, and catch up.

    After an upgrade that can apply it.
    """
    with opened() as access:
        follower = Follower(access.store.storage, LogFeed(), PROJECTIONS)
        tried = follower.retry()
        stopped = follower.catch_up()
    if not tried:
        output.talk("None had stopped. All are at the head.")
    for name in tried:
        if name not in stopped:
            output.talk(f"{name} goes on, and is at the head.")
    for name, what in stopped.items():
        output.talk(f"{name} stopped again: {what.type} at {what.position}. {what.detail}")
    if stopped:
        ctx.exit(failure.FAILED)


def _wanted(names: tuple[str, ...], *, every: bool) -> tuple[str, ...]:
    if every == bool(names):
        msg = "Name projections, or give --all."
        raise click.UsageError(msg)
    for name in names:
        find(PROJECTIONS, name)
    return _NAMES if every else names


def _broken_off_first(storage: Storage, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Whichever is under way: no other may begin before it."""
    with storage.snapshot() as rows:
        state = read_state(rows)
    return tuple(sorted(wanted, key=lambda name: state is None or name != state.name))


def _given_up(name: str | None = None) -> None:
    """Cancel the rebuild that is under way, if it is of that view."""
    if name is not None:
        find(PROJECTIONS, name)
    with opened(views=False) as access:
        storage = access.store.storage
        with storage.snapshot() as rows:
            state = read_state(rows)
        if state is None or name not in {None, state.name} or not cancel(storage, state.name):
            output.talk("There is no rebuild to give up.")
            return
        output.talk(f"The rebuild of {state.name} was given up. The live table stays as it is.")
        sweep(storage, PROJECTIONS)


def _show(found: Report, *, as_json: bool) -> None:
    """What a verification came to: the digests, or what is wrong."""
    if as_json:
        output.json_lines([found])
    elif found.ok:
        output.data(output.columns((name, 16), (each, 0)) for name, each in found.digests.items())
    else:
        output.data(
            output.columns((each.table, 18), (each.key, 29), (each.detail, 0))
            for each in found.findings
        )


def _rebuilt(storage: Storage, name: str, *, accept: bool) -> Outcome | Gone:
    with storage.snapshot() as rows:
        head = read_head(rows).position
    reached = 0
    with progress(f"Rebuilding {name}", head) as advance:

        def told(state: State, _: int) -> None:
            nonlocal reached
            advance(state.position - reached)
            reached = state.position

        work = rebuild_of(storage, told=told)
        try:
            return work.run(work.begin(name, accept=accept))
        except Gone as error:
            return error
        except KeyboardInterrupt:
            with suppress(KeyboardInterrupt):
                work.leave()
            output.talk("Broken off. Run it again to go on, or give it up with --cancel.")
            raise


def _told(outcome: Outcome | Gone) -> int:
    """Say what came of it; the exit code."""
    match outcome:
        case Swapped(name, digest, position, differed):
            output.talk(f"{name} was rebuilt up to {position}. {digest}")
            for each in differed:
                output.talk(f"The table until now was wrong: {each}.")
            return 0
        case Differs(name, _, rows):
            output.data(str(each) for each in rows)
            output.talk(f"The live table of {name} is not what the log says; the first rows are "
                        "named. Find out who changed it. --accept swaps it for what the log "
                        "says.")  # fmt: skip
            return failure.UNVERIFIED
        case Stopped(name, what):
            output.talk(f"{name} can't be rebuilt: {what.type} at {what.position} of the log "
                        f"can't be applied. {what.detail}")  # fmt: skip
        case Gone():
            output.talk(str(outcome))
    return failure.FAILED


def _row(item: ProjectionItem) -> str:
    return _line(
        item.name,
        str(item.version),
        item.mode,
        item.state,
        str(item.position),
        str(item.lag),
        "-" if item.digest is None else f"{item.digest} at {item.digest_position}",
    )


def _line(*cells: str) -> str:
    return output.columns(*zip(cells, (16, 7, 7, 9, 9, 6, 0), strict=True))
