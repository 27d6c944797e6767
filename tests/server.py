"""The tests' own server: the service as the product runs it, with faults switched on by settings.

`python -m tests.server` reads `GATEBOOK_*` like the product, and besides:

- `GATEBOOK_TEST_LOOKUP_CACHE` seconds for which a session's row is remembered, as no process of
  the product may;
- `GATEBOOK_TEST_UNCHECKED_ROTATION` when set, a token that another request has rotated meanwhile
  is rotated again;
- `GATEBOOK_TEST_UNCHECKED_LOGIN` when set, a login isn't looked at again when it is stored,
  whatever became of the user since the secret was checked;
- `GATEBOOK_TEST_OWN_HASH` when set, a refusal costs a hash of the user's own parameters alone, and
  the service's where there is no user;
- `GATEBOOK_TEST_UNHASHED` when set, a refusal costs no hash where there is no user;
- `GATEBOOK_TEST_LATE_RECORD` seconds after which a reuse is recorded, with its refusal given at
  once;
- `GATEBOOK_TEST_NO_LEAD` when set, a new signing key signs as soon as it is published;
- `GATEBOOK_TEST_KEEP_KEYS` when set, changes of the signing keys elsewhere aren't noticed;
- `GATEBOOK_TEST_UNCHECKED_KEYS` when set, whoever recognises a token doesn't compare the generation
  of its keys with the store's;
- `GATEBOOK_TEST_LOOK_EVERY` seconds between two looks for new revocations;
- `GATEBOOK_TEST_LOSE_EVENTS` when set, whoever follows the log isn't told the first event of each
  read;
- `GATEBOOK_TEST_TRUST_ERRORS` when set, a commit without an answer counts as one that did not
  happen;
- `GATEBOOK_TEST_SYNCHRONOUS` how SQLite waits for the disk, as `NORMAL`: not at every commit;
- `GATEBOOK_TEST_LOG_FORMS` when set, every form is printed, with the `Authorization` header that
  came with it;
- `GATEBOOK_TEST_TELL_NAMES` when set, a name that is taken is told in the refusal, and a label of
  the count of refusals;
- `GATEBOOK_TEST_UNFORESEEN` when set, a name with a character beyond ASCII is a fault that nobody
  foresaw;
- `GATEBOOK_TEST_UNDESCRIBED` when set, what readiness found has a member more than the description
  has, and a session that isn't there is a conflict;
- `GATEBOOK_TEST_DISK` is of the library that a server was loaded with (tests/prove/disk.c);
- `GATEBOOK_TEST_LENIENT` when set, a request is read however it can be;
- `GATEBOOK_TEST_HOARD` bytes that are kept of each request, for ever;
- `GATEBOOK_TEST_HASTY` seconds that a client has for a head or a body: no breach, but for one that
  has all the time in the world;
- `GATEBOOK_TEST_LEAK` when set, look-ups of sessions keep some memory, a thread, a file and a
  connection to the database, whose transaction stays open, for ever and again and again;
- `GATEBOOK_TEST_UNLOCKED` when set, whoever writes doesn't wait for the append lock of PostgreSQL,
  from the making of the store on;
- `GATEBOOK_TEST_UNDURABLE` when set, a PostgreSQL is taken for one that waits for its disk;
- `GATEBOOK_TEST_NEWER` when set, the process is one of a release that knows a type of event more,
  `user.renamed`: no breach either;
- `GATEBOOK_TEST_AS_COMMAND` when set, it is `gatebook serve`, with the tests' leash: no breach;
- `GATEBOOK_TEST_NOT_FOLLOWING` when set, following views stand still, so that nothing is written
  but what was asked for: no breach, as the others are;
- `GATEBOOK_TEST_LEASH` when set, the server ends with whoever holds the other end of its stdin.

Each is a control: with it, the tests of the property that it breaks must fail. Knows how to reach
into a running service, and nothing of what the tests look for.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from app import argon2id, cli, protocol, revocation_feed, server
from app.application import application
from app.cli import serve as _loaded  # noqa: F401 - once for all that are forked
from app.http.form import FormRequest
from app.limits import Limits
from app.readiness import Check
from app.settings import SettingsError, load
from app.store import storage_of
from domain import commands, events, session_rules
from domain.catalogue import EVENTS
from domain.errors import InvalidToken, NotFound, UserIdTaken
from projections.storage_sqlite import SqliteStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from uvicorn._types import ASGI3Application

    from app.audit import Page, Wanted
    from app.bootstrap import Service
    from app.caller import Caller
    from app.lookup import Lookup
    from app.passwords import _Watch
    from app.sessions import Bearer
    from app.tokens.key_ring import KeyRing
    from domain.policy import Policy
    from domain.refresh_token import RefreshToken
    from domain.stream import Recorded
    from domain.user import User
    from projections.token_lookup import TokenRow

PREFIX: Final = "GATEBOOK_TEST_"
_LENIENCIES: Final = 10
"""How many the parser has."""
LEAK_EVERY: Final = 0.2
"""Seconds."""


class UserRenamed(events.Event, frozen=True):
    """What only a newer release knows."""

    name = "user.renamed"


class Remembering:
    """Look-ups, of which one of a session is as old as `seconds`.

    With `settled` only rows of a token whose first use is recorded are remembered: any other leads
    to a command, and that is decided on what is so now.
    """

    def __init__(self, lookup: Lookup, seconds: float, *, settled: bool) -> None:
        self._lookup = lookup
        self._seconds = seconds
        self._settled = settled
        self._rows: dict[str, tuple[float, TokenRow | None]] = {}

    def __getattr__(self, name: str) -> object:
        return getattr(self._lookup, name)

    async def session(self, session_id: str) -> TokenRow | None:
        found = self._rows.get(session_id)
        if found is None or time.monotonic() - found[0] > self._seconds:
            row = await self._lookup.session(session_id)
            found = time.monotonic(), row
            if row is None or row.used_generation == row.generation or not self._settled:
                self._rows[session_id] = found
        return found[1]


class Undated:
    """Look-ups, by which the store is never newer than the keys are."""

    def __init__(self, lookup: Lookup, keys: KeyRing) -> None:
        self._lookup = lookup
        self._keys = keys

    def __getattr__(self, name: str) -> object:
        return getattr(self._lookup, name)

    async def session(self, session_id: str) -> TokenRow | None:
        row = await self._lookup.session(session_id)
        if row is None:
            return None
        return msgspec.structs.replace(row, store_generation=self._keys.generation)


class Leaking:
    """Look-ups that keep what they never use again."""

    def __init__(self, lookup: Lookup, url: str) -> None:
        self._lookup = lookup
        self._url = url
        self._kept: list[object] = []
        self._last = 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self._lookup, name)

    async def session(self, session_id: str) -> TokenRow | None:
        if time.monotonic() - self._last > LEAK_EVERY:
            self._last = time.monotonic()
            self._kept.append(os.urandom(1 << 20))
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            self._kept.append(os.dup(0))
            connection = storage_of(self._url).snapshot()
            connection.__enter__().fetch("SELECT count(*) FROM events")
            self._kept.append(connection)
        return await self._lookup.session(session_id)


def meddle(service: Service, environ: Mapping[str, str]) -> None:
    """Break what the tests ask to be broken."""
    for name, broken in _BROKEN.items():
        value = environ.get(f"{PREFIX}{name}")
        if value is not None:
            broken(service, value)


def _remember(service: Service, seconds: str) -> None:
    for part in msgspec.structs.astuple(service):
        if hasattr(part, "_lookup"):
            settled = part is service.refresh_tokens
            part._lookup = Remembering(service.lookup, float(seconds), settled=settled)


def _leak(service: Service, value: str) -> None:
    del value
    leaking = Leaking(service.lookup, os.environ["GATEBOOK_DATABASE_URL"])
    for part in msgspec.structs.astuple(service):
        if hasattr(part, "_lookup"):
            part._lookup = leaking


def _leave_rotations_unchecked(service: Service, value: str) -> None:
    del service, value
    session_rules.rotate = _rotate_again


def _leave_logins_unchecked(service: Service, value: str) -> None:
    del service, value
    session_rules.start = _start_anyway


def _sign_at_once(service: Service, value: str) -> None:
    del value
    service.key_rotation._lead = 0


def _keep_keys(service: Service, value: str) -> None:
    async def keep(generation: int) -> None:
        del generation

    del value
    service.keys.at = keep  # type: ignore[method-assign]


def _leave_keys_unchecked(service: Service, value: str) -> None:
    del value
    undated = Undated(service.lookup, service.keys)
    service.recognition._lookup = undated  # type: ignore[assignment]


def _look_seldom(service: Service, seconds: str) -> None:
    del service
    revocation_feed.LOOK_EVERY = float(seconds)  # type: ignore[misc]


def _stop_following(service: Service, value: str) -> None:
    del value
    service.following.news = lambda head: None  # type: ignore[method-assign,assignment]


def _lose_events(service: Service, value: str) -> None:
    read = service.event_feed._read

    async def losing(wanted: Wanted, position: int) -> Page:
        found = await read(wanted, position)
        return msgspec.structs.replace(found, items=found.items[1:])

    del value
    service.event_feed._read = losing  # type: ignore[method-assign]


def _trust_errors(service: Service, value: str) -> None:
    del value
    service.store.log.holds = lambda record: False  # type: ignore[method-assign]


def _wait_less(service: Service, level: str) -> None:
    storage = service.store.storage
    assert isinstance(storage, SqliteStorage)
    storage._synchronous = level
    storage.discard()


def _rotate_again(
    user: User, command: commands.RotateToken, policy: Policy, now: int
) -> tuple[events.Event, ...]:
    return (events.RefreshTokenRotated(command.session_id, command.generation + 1),)


def _start_anyway(
    user: User,
    command: commands.StartSession,
    policy: Policy,
    now: int,
    rule: Callable[..., tuple[events.Event, ...]] = session_rules.start,
) -> tuple[events.Event, ...]:
    as_it_was = msgspec.structs.replace(
        user, status="active", secret_version=command.secret_version
    )
    return rule(as_it_was, command, policy, now)


def _spend_own_hash_alone(service: Service, value: str) -> None:
    pool = service.pool

    def compare(secret_hash: str | None, secret: str, watch: _Watch, *, admitted: bool) -> bool:
        del admitted
        nobodys = argon2id.of_nothing(*pool._parameters)
        stored = nobodys if secret_hash is None else argon2id.parse(secret_hash)
        with watch.one():
            return pool._argon2id.verify(stored, secret) and secret_hash is not None

    del value
    pool._compare = compare  # type: ignore[method-assign]


def _spend_nothing_on_nobody(service: Service, value: str) -> None:
    verify = service.pool.verify

    async def sparing(secret_hash: str | None, secret: str, *, admitted: bool = True) -> bool:
        return secret_hash is not None and await verify(secret_hash, secret, admitted=admitted)

    del value
    service.pool.verify = sparing  # type: ignore[method-assign]


def _record_late(service: Service, seconds: str) -> None:
    tokens, later = service.refresh_tokens, set[asyncio.Task[object]]()
    record = tokens._recorded

    async def refuse(
        command: commands.UserCommand, token: RefreshToken, caller: Caller
    ) -> tuple[Recorded, ...]:
        async def wait() -> None:
            await asyncio.sleep(float(seconds))
            await record(command, token, caller)

        if not isinstance(command, commands.PresentRetired):
            return await record(command, token, caller)
        later.add(asyncio.create_task(wait()))
        raise InvalidToken(reason="reused")

    tokens._recorded = refuse  # type: ignore[method-assign]


def _log_forms(service: Service, value: str) -> None:
    read = FormRequest.parameters

    async def parameters(self: FormRequest) -> dict[str, str]:
        given = self.headers.get("authorization", "")
        print(given, await self.body(), file=sys.stderr, flush=True)  # noqa: T201 - past the log
        return await read(self)

    del service, value
    FormRequest.parameters = parameters  # type: ignore[method-assign]


def _tell_names(service: Service, value: str) -> None:
    register = service.accounts.register

    async def telling(name: str, secret: str, caller: Caller) -> str:
        try:
            return await register(name, secret, caller)
        except UserIdTaken as error:
            service.metrics.refused(error.code, name)
            error.args = (f"{name} is taken.",)
            raise

    del value
    service.accounts.register = telling  # type: ignore[method-assign]


def _stumble_over_names(service: Service, value: str) -> None:
    find = service.accounts.find_user_key

    async def stumbling(name: str, secret: str, caller: Caller) -> str:
        name.encode("ascii")
        return await find(name, secret, caller)

    del value
    service.accounts.find_user_key = stumbling  # type: ignore[method-assign]


class Wordy(Check, frozen=True):
    """What was looked at, with a member that the description doesn't have."""

    hint: str = ""


def _answer_as_undescribed(service: Service, value: str) -> None:
    look, end = service.readiness.checks, service.sessions.end

    async def checks() -> list[Check]:
        return [Wordy(*msgspec.structs.astuple(each)) for each in await look()]

    async def ending(bearer: Bearer, session_id: str, caller: Caller) -> None:
        try:
            await end(bearer, session_id, caller)
        except NotFound as error:
            raise UserIdTaken from error

    del value
    service.readiness.checks = checks  # type: ignore[method-assign]
    service.sessions.end = ending  # type: ignore[method-assign]


def _read_leniently(service: Service, value: str) -> None:
    made = protocol.GuardedProtocol.__init__

    def lenient(self: protocol.GuardedProtocol, **given: Any) -> None:
        made(self, **given)
        self.parser.set_dangerous_leniencies(*[True] * _LENIENCIES)

    del service, value
    protocol.GuardedProtocol.__init__ = lenient  # type: ignore[assignment,method-assign]
    protocol.GuardedProtocol._check_head = lambda self: None  # type: ignore[method-assign]


def _hoard(service: Service, size: str) -> None:
    complete, hoard = protocol.GuardedProtocol.on_headers_complete, list[bytes]()

    def hoarding(self: protocol.GuardedProtocol) -> None:
        hoard.append(os.urandom(int(size)))
        complete(self)

    del service
    protocol.GuardedProtocol.on_headers_complete = hoarding  # type: ignore[method-assign]


def _limits(environ: Mapping[str, str]) -> Limits | None:
    given = environ.get(f"{PREFIX}HASTY")
    if given is None:
        return None
    seconds = float(given)
    return Limits(head_s=seconds, body_s=seconds, stall_s=seconds)


_BROKEN: Final[Mapping[str, Callable[[Service, str], None]]] = {
    "LOOKUP_CACHE": _remember,
    "LEAK": _leak,
    "OWN_HASH": _spend_own_hash_alone,
    "UNHASHED": _spend_nothing_on_nobody,
    "LATE_RECORD": _record_late,
    "UNCHECKED_ROTATION": _leave_rotations_unchecked,
    "UNCHECKED_LOGIN": _leave_logins_unchecked,
    "NO_LEAD": _sign_at_once,
    "KEEP_KEYS": _keep_keys,
    "UNCHECKED_KEYS": _leave_keys_unchecked,
    "LOOK_EVERY": _look_seldom,
    "LOSE_EVENTS": _lose_events,
    "NOT_FOLLOWING": _stop_following,
    "LENIENT": _read_leniently,
    "HOARD": _hoard,
    "TRUST_ERRORS": _trust_errors,
    "SYNCHRONOUS": _wait_less,
    "LOG_FORMS": _log_forms,
    "TELL_NAMES": _tell_names,
    "UNFORESEEN": _stumble_over_names,
    "UNDESCRIBED": _answer_as_undescribed,
}


def _write_unlocked() -> None:
    from projections import storage_postgres  # noqa: PLC0415 - an extra

    vars(storage_postgres)["_LOCKED"] = f"BEGIN; {storage_postgres._CLOCK}"


def _ask_no_durability() -> None:
    from projections import storage_postgres  # noqa: PLC0415 - an extra

    vars(storage_postgres)["_SERVER"] = "SELECT pg_is_in_recovery(), 'on', 'on'"


def _know_more() -> None:
    EVENTS[UserRenamed.name] = UserRenamed


_BEFORE: Final[Mapping[str, Callable[[], None]]] = {
    "UNLOCKED": _write_unlocked,
    "UNDURABLE": _ask_no_durability,
    "NEWER": _know_more,
}


def _end_with_stdin() -> None:
    os.read(0, 1)
    os._exit(1)


def main() -> int:
    """Serve until told to stop; the exit code."""
    try:
        settings = load(os.environ).settings
    except SettingsError as error:
        return server.tell(error)
    if f"{PREFIX}LEASH" in os.environ:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    for name, change in _BEFORE.items():
        if f"{PREFIX}{name}" in os.environ:
            change()
    if f"{PREFIX}AS_COMMAND" in os.environ:
        sys.argv = ["gatebook", "serve"]
        return cli.main()
    services: list[Service] = []

    def started(service: Service) -> None:
        meddle(service, os.environ)
        services.append(service)

    def stop() -> None:
        for service in services:
            service.stopping.set()

    def make() -> ASGI3Application:
        return cast("ASGI3Application", application(settings, on_start=started))

    return server.serve(make, settings, on_stop=stop, limits=_limits(os.environ))


if __name__ == "__main__":
    sys.exit(main())
