"""The one place that writes events: a batch of commands in, one transaction, answers out.

`commit` is a plain function of the store: no thread, no queue, no event loop. It decides inside
the append lock, on the newest state, and an answer is given only after the commit. Knows no
rule of its own and no HTTP.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import structlog

from app import traces
from app.eventstore import snapshot
from app.eventstore.log import Append, EventLog, Head, Replaced, confirm, padded, read_head
from app.eventstore.record import Record, record_of
from app.states import advanced
from app.vault import (
    ADD_USER_KEY,
    FORGET_OLD_CREDENTIALS,
    NAMES_TAKEN,
    PERSON,
    PERSON_KEYS,
    RESERVE_NAME,
    Ring,
    Vault,
    Wrapped,
    name_mac,
    seal_event,
)
from domain.aggregate import aggregate_of
from domain.authority import NOBODY_ELSE, Others, is_administrator
from domain.commands import Command, RegisterUser
from domain.errors import Damage, GatebookError, InternalError, Unavailable, UserIdTaken
from domain.events import UserErased
from domain.policy import Policy
from domain.stream import Meta, Recorded, is_user_stream, user_key_of
from domain.user import User
from domain.user_id import prepare
from projections.live import Live, MissedEvents, read_live
from projections.registry import PROJECTIONS
from projections.storage import Lost, NotDurable, OutcomeUnknown, Rows, Statement, StorageError
from projections.user_directory import ADMINISTRATORS

Answer = tuple[Recorded, ...] | Exception
"""The events that a command led to, or why it led to none."""

CACHED_STREAMS: Final = 2048
SETTLE_WITHIN: Final = 10.0
"""Seconds for which an unanswered commit is looked into before its callers hear «unavailable»."""

_logger = structlog.get_logger("gatebook.writer")


class Wish:
    """A command with who asks; `cancelled` once nobody waits for its answer.

    `rows` go in with the events, when there are any.
    """

    __slots__ = ("cancelled", "command", "meta", "rows")

    def __init__(self, command: Command, meta: Meta, rows: tuple[Statement, ...] = ()) -> None:
        self.command = command
        self.meta = meta
        self.rows = rows
        self.cancelled = False


class _InDoubt(Exception):
    def __init__(self, why: OutcomeUnknown, first: Record, answers: list[Answer]) -> None:
        super().__init__(str(why))
        self.first = first
        self.answers = answers


_STORE_FAULTS: Final = (
    (NotDurable, "store_not_durable"),
    ((_InDoubt, OutcomeUnknown), "commit_failed"),
    (MissedEvents, "view_missed_events"),
    (Lost, "store_unavailable"),
)


class _Draft:
    """What a batch has come to so far: nobody else sees it before the commit."""

    def __init__(self, append: Append) -> None:
        self.append = append
        self.live: Live
        self.now = append.now()
        self.position = append.head.position
        self.states: dict[str, Any] = {}
        self.taken: set[bytes] = set()
        self.broken: dict[str, Exception] = {}
        self.recorded: list[Recorded] = []
        self.records: list[Record] = []
        self.statements: list[Statement] = []
        self.snapshots: dict[str, User] = {}
        self.erased: set[str] = set()


class Writer:
    """Decides and commits; belongs to one thread at a time.

    Caches the states of streams and the data keys of persons; both are checked against the log
    and the store's generation under the lock, whatever other processes did meanwhile, and are
    forgotten when the log isn't the one that they are of.
    """

    def __init__(
        self,
        log: EventLog,
        vault: Vault,
        ring: Ring,
        policy: Policy,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._vault = vault
        self._ring = ring
        self._policy = policy
        self._sleep = sleep
        self._monotonic = monotonic
        self._states: OrderedDict[str, Any] = OrderedDict()
        self._keys: OrderedDict[str, bytes] = OrderedDict()
        self._generation = -1
        self._live: Live
        self._known: Head | None = None
        self._sure = 0

    def is_sure(self, time: int) -> bool:
        """Whether no fail-over can take back what was recorded until then (µs); for any thread."""
        return time <= self._sure or self._log.storage.kind == "sqlite"

    def commit(self, batch: Sequence[Wish]) -> list[Answer]:
        """Decide a batch in order and store what follows, all of it or nothing.

        A refusal fails alone. A batch that can't be stored is tried once more and then one by
        one, so that whatever can't be stored fails alone too.
        """
        failure: Exception | None = None
        for _ in range(2):
            try:
                return self._write(batch)
            except _InDoubt as doubt:
                self._forget()
                stored = self._settle(doubt.first)
                if stored is None:
                    return [Unavailable(unsure=True) for _ in batch]
                if stored:
                    return doubt.answers
                failure = doubt
            except Replaced as error:
                self._forget()
                self._sure = 0
                _logger.error("log_replaced", detail=str(error))  # noqa: TRY400 - it says it all
                failure = error
            except Exception as error:  # noqa: BLE001 - whatever it was, the batch isn't stored
                self._forget()
                failure = error
        for kind, event in _STORE_FAULTS:
            if isinstance(failure, kind):
                (_logger.warning if kind is Lost else _logger.error)(event, detail=str(failure))
                told = (str(failure),) if kind is MissedEvents else ()
                return [Unavailable(*told) for _ in batch]
        if len(batch) > 1:
            return [self.commit([wish])[0] for wish in batch]
        _logger.error(
            "command_not_stored", command=type(batch[0].command).__name__, exc_info=failure
        )
        return [InternalError()]

    def _write(self, batch: Sequence[Wish]) -> list[Answer]:
        streams = dict.fromkeys(stream for wish in batch for stream in _streams(wish))
        people = _people(batch)
        macs = self._load_cold(batch, people)
        with self._log.append(self._known) as append:
            draft = _Draft(append)
            self._catch_up(draft, streams, people)
            draft.taken = _taken(append.rows, macs)
            answers = [self._decide(draft, wish) for wish in batch]
            if draft.records:
                self._store(draft, answers)
        if any(isinstance(each, tuple) for each in answers):
            if not draft.records:
                # That it is so already has to be as durable as an event that makes it so.
                confirm(self._log.storage, [draft.append.head])
            self._sure = draft.append.head.time
        self._publish(draft)
        return answers

    def _store(self, draft: _Draft, answers: list[Answer]) -> None:
        append = draft.append
        append.write(draft.records)
        for sql, params in draft.statements:
            append.rows.execute(sql, params)
        draft.live.apply(append.rows, draft.recorded)
        for stream, user in draft.snapshots.items():
            if stream not in draft.erased:
                snapshot.keep(append.rows, stream, user, self._keys[stream])
        try:
            append.rows.commit()
        except OutcomeUnknown as error:
            raise _InDoubt(error, draft.records[0], answers) from error

    def _load_cold(self, batch: Sequence[Wish], people: Iterable[str]) -> list[bytes]:
        """Before the lock: fold what isn't cached, so that nobody waits for it inside."""
        cold = dict.fromkeys(
            stream
            for wish in batch
            if type(wish.command) is not RegisterUser
            for stream in _streams(wish)
            if stream not in self._states
        )
        strangers = [user_key for user_key in people if user_key not in self._keys]
        if cold or strangers:
            with self._log.storage.snapshot() as rows:
                self._known = read_head(rows, self._known)
                self._load_keys(rows, strangers)
                keys = {each: self._keys[each] for each in cold if each in self._keys}
                states: dict[str, Any] = {**snapshot.newest(rows, keys)} if keys else {}
                for stream in cold:
                    states.setdefault(stream, aggregate_of(stream).state())
                self._states.update(advanced(rows, states, broken={}))
        return [
            name_mac(self._ring, prepare(wish.command.user_id.text))
            for wish in batch
            if isinstance(wish.command, RegisterUser)
        ]

    def _load_keys(self, rows: Rows, user_keys: Sequence[str]) -> None:
        if not user_keys:
            return
        wanted = padded(list(user_keys), "")
        for user_key, master_id, blob in rows.fetch(
            PERSON_KEYS % ", ".join("?" * len(wanted)), wanted
        ):
            wrapped = Wrapped(str(master_id), blob)  # type: ignore[arg-type]
            self._keys[str(user_key)] = self._vault.unwrap_user_key(str(user_key), PERSON, wrapped)

    def _catch_up(self, draft: _Draft, streams: Iterable[str], people: Sequence[str]) -> None:
        """Under the lock: the newest state of every stream of the batch, and live keys only."""
        rows, head = draft.append.rows, draft.append.head
        if head.generation != self._generation:
            self._live = read_live(rows, PROJECTIONS)
            self._live.check(head.position)
            self._keys.clear()
            self._load_keys(rows, people)
            self._generation = head.generation
        draft.live = self._live
        known = {each: self._states.get(each) or aggregate_of(each).state() for each in streams}
        draft.states = advanced(rows, known, draft.broken)
        for stream, state in draft.states.items():
            if isinstance(state, User) and state.status in {"active", "disabled"}:
                if stream not in self._keys:
                    self._load_keys(rows, [stream])
                if stream not in self._keys:
                    msg = f"The key of {stream} is missing, and nobody erased it."
                    draft.broken[stream] = Damage(msg)

    def _decide(self, draft: _Draft, wish: Wish) -> Answer:
        stream = wish.command.stream
        if wish.cancelled:
            return Unavailable()
        for needed in _streams(wish):
            if needed in draft.broken:
                broken = draft.broken[needed]
                return type(broken)(*broken.args)  # each caller raises its own
        try:
            return self._draw_up(draft, wish, stream)
        except GatebookError as refusal:
            return refusal
        except StorageError:
            raise  # it is the batch that can't be decided
        except Exception:
            _logger.exception("command_failed", command=type(wish.command).__name__)
            return InternalError()

    def _draw_up(self, draft: _Draft, wish: Wish, stream: str) -> Answer:
        aggregate, state = aggregate_of(stream), draft.states[stream]
        before = state.version
        others = _others(draft, wish.command)
        events = aggregate.decide(state, wish.command, self._policy, draft.now, others)
        statements: list[Statement] = list(wish.rows) if events else []
        keys = self._keys
        mac = None
        if events and isinstance(wish.command, RegisterUser):
            mac = name_mac(self._ring, prepare(wish.command.user_id.text))
            if mac in draft.taken:
                raise UserIdTaken
            key, wrapped = self._vault.new_user_key_row(stream, PERSON)
            keys[stream] = key
            statements.append((ADD_USER_KEY, (stream, PERSON, *wrapped)))
            statements.append((RESERVE_NAME, (mac, stream)))
        if events and isinstance(events[-1], UserErased):
            statements += traces.forget(draft.append.rows, self._ring.network, stream, draft.now)
            keys.pop(stream, None)  # it goes in this commit: nothing new is sealed with it
            draft.erased.add(stream)
        recorded: list[Recorded] = []
        for event in events:
            version = state.version + 1
            sealing = seal_event(self._vault, stream, version, event, wish.meta, keys)
            position = draft.position + len(recorded) + 1
            each = Recorded(stream, version, position, draft.now, sealing.meta, sealing.event)
            recorded.append(each)
            state = aggregate.evolve(state, each)
            if sealing.credential is not None:
                row = (stream, version, *sealing.credential)
                statements.append((ADD_USER_KEY, row))
                statements.append((FORGET_OLD_CREDENTIALS, (stream, version)))
        draft.records += [record_of(each) for each in recorded]
        if mac is not None:
            draft.taken.add(mac)
        if before // snapshot.EVERY < state.version // snapshot.EVERY and isinstance(state, User):
            draft.snapshots[stream] = state
        draft.states[stream] = state
        draft.recorded += recorded
        draft.statements += statements
        draft.position += len(recorded)
        draft.now += 1 if recorded else 0
        return tuple(recorded)

    def _publish(self, draft: _Draft) -> None:
        self._known = draft.append.head
        for stream, state in draft.states.items():
            if stream not in draft.broken:
                self._states[stream] = state
                self._states.move_to_end(stream)
        for cache in (self._states, self._keys):
            while len(cache) > CACHED_STREAMS:
                cache.popitem(last=False)

    def _forget(self) -> None:
        self._states.clear()
        self._keys.clear()
        self._generation = -1
        self._known = None

    def _settle(self, first: Record) -> bool | None:
        """Whether an unanswered commit happened; None when the store doesn't come back in time."""
        deadline = self._monotonic() + SETTLE_WITHIN
        while True:
            try:
                return self._log.holds(first)
            except Exception as error:  # noqa: BLE001 - the store is away; ask again
                _logger.warning("commit_in_doubt", position=first.position, detail=str(error))
                if self._monotonic() > deadline:
                    return None
                self._sleep(0.05)


def _streams(wish: Wish) -> tuple[str, ...]:
    """The streams whose newest state decides a wish: its own, and that of whoever administers."""
    asking = wish.command.asking
    return (wish.command.stream,) if asking is None else (wish.command.stream, asking)


def _others(draft: _Draft, command: Command) -> Others:
    """What a wish about a user needs to know of other users, as of this place in the batch."""
    if command.asking is None:
        return NOBODY_ELSE
    asking = draft.states[command.asking]
    if not is_administrator(draft.states[command.stream]):
        return Others(asking)
    known = {key: state for key, state in draft.states.items() if isinstance(state, User)}
    # One more than the batch may have changed: then one of them is as the view says.
    rows = draft.live.rows(draft.append.rows)
    stored = rows.fetch(ADMINISTRATORS, (len(known) + 1,))
    another = any(key not in known for (key,) in stored) or any(
        is_administrator(state) for key, state in known.items() if key != command.stream
    )
    return Others(asking, another)


def _people(batch: Sequence[Wish]) -> list[str]:
    """The users whose keys a batch may seal with."""
    streams = (
        wish.command.stream
        for wish in batch
        if is_user_stream(wish.command.stream) and type(wish.command) is not RegisterUser
    )
    actors = (user_key_of(wish.meta.actor) for wish in batch)
    return list(dict.fromkeys([*streams, *(actor for actor in actors if actor)]))


def _taken(rows: Rows, macs: list[bytes]) -> set[bytes]:
    if not macs:
        return set()
    wanted = padded(macs, b"")
    found = rows.fetch(NAMES_TAKEN % ", ".join("?" * len(wanted)), wanted)
    return {row[0] for row in found if isinstance(row[0], bytes)}
