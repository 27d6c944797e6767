"""A backup of a service at work is restored, and nothing that it doesn't know of is believed.

`gatebook backup` is written while people are at work, who go on; some are erased afterwards.
`gatebook restore` makes a store of it elsewhere, of every other one of PostgreSQL in SQLite. What
was acknowledged before the backup began is there; every session of before is over, and so are the
tokens; those who were erased since are erased again; people log in anew and work; `gatebook audit
verify` finds nothing, and the root that was noted. The controls: a restore that keeps sessions, one
that leaves whom it was told to erase, and a restored store that has lost something. Contract §11.
"""

from __future__ import annotations

import asyncio
import random
import shlex
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from domain import events
from tests.prove.changes import erase, have_administrator
from tests.prove.client import Client, a_source
from tests.prove.load import SECRET, Ledger, check_tokens, register, start, working
from tests.prove.restarted import worked
from tests.prove.stored import (
    another,
    by_session,
    check_log,
    check_store,
    lose_the_last_registration,
)
from tests.prove.tally import Tally
from tests.running import Server, running, settings
from tests.store.intruding import SQLITE, intrude

if TYPE_CHECKING:
    from collections.abc import Iterator

PROPERTY: Final = "a restored backup: all that was acknowledged, no session, nobody who is erased"
SIZE: Final = 100
OF: Final = "restores"
STEP: Final = 10
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
BEFORE: Final = 20, 100
"""Acknowledgements between two backups, at least and at most."""
AFTER: Final = 10
"""Those after a backup, and those on what was restored of it, at least."""
PEOPLE: Final = 8
SHOWN: Final = 40
"""Sessions of before whose tokens are shown."""
ANEW: Final = 3
"""People who log in anew."""
_KEYS: Final = "SELECT count(*) FROM user_keys WHERE user_key = ? AND version >= 0"
_UNLIKE: Final = ("secret", "disabled", "erased")
"""After such a change nobody logs in as before."""
_GO_ON: Final = "sessions of before go on"
_BACK: Final = "not erased again"


class Backup(NamedTuple):
    """A file, its root, and what it has to bring back: `before` is what was acknowledged then.

    `erased` are to be erased again; `stale` is an access token of before.
    """

    file: Path
    root: str
    before: Ledger
    erased: tuple[str, ...]
    stale: str


def prove(url: str, count: int) -> Tally:
    """Back up and restore `count` times, from one store that goes on."""
    tally, ledger = Tally(), Ledger()
    have_administrator(url, ledger)
    with tempfile.TemporaryDirectory() as folder, running(settings(url)) as server:
        for number in range(count):
            file = Path(folder) / f"backup-{number}"
            backup = asyncio.run(_back_up(server.port, url, file, ledger, tally))
            if number == 0:
                with _elsewhere(url, "breach", Path(folder)) as there:
                    _break(there, backup, tally)
            with _elsewhere(url, f"{number}", Path(folder), as_file=number % 2 == 1) as there:
                _try(there, backup, ledger, tally)
            tally.tried += 1
    for each in ledger.unexpected:
        tally.wrong(each)
    ledger.report(tally)
    return tally


def _try(there: str, backup: Backup, ledger: Ledger, tally: Tally) -> None:
    """Restore, serve, and look at what is there then."""
    _restore(there, backup, tally)
    shown = Ledger()
    shown.ended = {**ledger.sessions, **ledger.ended}
    sessions = random.sample([*shown.ended], min(SHOWN, len(shown.ended)))
    with running(settings(there)) as server:
        asyncio.run(check_tokens(server.port, shown, sessions, tally))
        asyncio.run(_work(server.port, backup, tally))
        tally.expect(server.stop() == 0, "what serves a restored store doesn't stop in order")
    code, said = _gatebook(there, "audit", "verify", "--expect", backup.root)
    tally.expect(code == 0, f"audit verify: {code}, {said}")
    _judge(there, backup, tally)
    for each in backup.before.unexpected:
        tally.wrong(f"restored: {each}")
    lose_the_last_registration(there, backup.before, tally)


def _break(there: str, backup: Backup, tally: Tally) -> None:
    """The controls: a restore that ends nothing, and erases nobody."""
    second = Tally()
    _restore(there, backup, second, TEST_KEEP_SESSIONS="1", TEST_BRING_BACK="1")
    _judge(there, backup, second)
    for name, wrong in (("sessions that go on", _GO_ON), ("somebody who is back", _BACK)):
        tally.control(name, noticed=any(each.startswith(wrong) for each in second.first))


async def _back_up(port: int, url: str, file: Path, ledger: Ledger, tally: Tally) -> Backup:
    """Somebody is erased after it, who was there before."""
    async with working([port], ledger, PEOPLE), Client(port, a_source()) as client:
        ledger.logins[ledger.administrator] += 1
        token = (await start(client, ledger.administrator)).access_token
        leaving = await register(client, ledger)
        await worked(ledger, random.randint(*BEFORE), tally)
        before = _as_it_is(ledger)
        code, said = await asyncio.to_thread(_gatebook, url, "backup", str(file))
        tally.expect(code == 0, f"backup: {code}, {said}")
        await erase(client, ledger, leaving or "", token)
        await worked(ledger, AFTER, tally)
    before.names = {*ledger.names}
    before.logins, before.asked = Counter(ledger.logins), Counter(ledger.asked)
    before.administrator = ledger.administrator
    gone = [each.split()[1] for each, kind in ledger.changes.items() if kind == "erased"]
    return Backup(file, said.split()[-1], before, tuple(gone), token)


def _as_it_is(ledger: Ledger) -> Ledger:
    """What is acknowledged now."""
    copy = Ledger()
    copy.registered, copy.changes = dict(ledger.registered), dict(ledger.changes)
    copy.sessions, copy.ended = dict(ledger.sessions), dict(ledger.ended)
    return copy


def _restore(there: str, backup: Backup, tally: Tally, **breaches: str) -> None:
    erased = backup.file.with_suffix(".erased")
    erased.write_text("".join(f"{each}\n" for each in backup.erased))
    restoring = ("restore", str(backup.file), "--erased", str(erased), "--expect", backup.root)
    code, said = _gatebook(there, *restoring, **breaches)
    tally.expect(code == 0, f"restore: {code}, {said}")
    tally.expect("Erased again: 0." not in said, "nobody was erased again")


async def _work(port: int, backup: Backup, tally: Tally) -> None:
    """Nobody gets in by what was before, people log in anew, and go on."""
    before = backup.before
    async with Client(port, a_source()) as client:
        answer = await client.get("/me", backup.stale)
        tally.expect(answer.status == 401, f"/me by an access token of before: {answer.status}")
        changed = {each.split()[-1] for each in before.asked if each.split()[0] in _UNLIKE}
        same = [each for each in before.registered.values() if each not in changed]
        for user_key, status in (
            *((each, 200) for each in random.sample(same, min(ANEW, len(same)))),
            *((each, 401) for each in backup.erased[-ANEW:]),
        ):
            before.logins[user_key] += 1
            answer = await client.post("/authenticate", user_key=user_key, user_secret=SECRET)
            tally.expect(answer.status == status, f"a login: {answer.status}, and not {status}")
            tally.count(f"logins on a restored store: {status}")
    async with working([port], before, PEOPLE):
        await worked(before, AFTER, tally)


def _judge(there: str, backup: Backup, tally: Tally) -> None:
    """What the restored store holds."""
    check_store(there, backup.before, tally)
    log = check_log(there, Tally())
    places = [each.position for each in log if isinstance(each.event, events.LogRestored)]
    tally.expect(len(places) == 1, f"the log says {len(places)} times that it was restored")
    place = max(places, default=0)
    sessions = [each for each in by_session(log).values() if each[0].position < place]
    lasting = [
        each
        for each in sessions
        if not any(isinstance(recorded.event, events.RefreshTokenRevoked) for recorded in each)
    ]
    tally.expect(not lasting, f"{_GO_ON}: {len(lasting)} of {len(sessions)}")
    tally.count("sessions of before", len(sessions))
    there_before = {each.stream for each in log if isinstance(each.event, events.UserRegistered)}
    erased = {each.stream for each in log if isinstance(each.event, events.UserErased)}
    again = [each for each in backup.erased if each in there_before]
    tally.expect(bool(again), "nobody was to be erased again")
    tally.count("erased again", len(again))
    with intrude(there) as intruder:
        keys = sum(int(intruder.run(_KEYS, (each,))[0][0] or 0) for each in again)
    back = [each for each in again if each not in erased]
    tally.expect(not back and not keys, f"{_BACK}: {len(back)} of {len(again)}, {keys} keys")


@contextmanager
def _elsewhere(url: str, label: str, folder: Path, *, as_file: bool = False) -> Iterator[str]:
    """An empty store, of the same kind unless it is to be a file."""
    if as_file or url.startswith(SQLITE):
        yield f"{SQLITE}{folder}/{label}.db"
    else:
        with another(url) as there:
            yield there


def _gatebook(url: str, *args: str, **breaches: str) -> tuple[int, str]:
    """Run a command: its exit code, and what it said."""
    process = Server(settings(url, TEST_AS_COMMAND=shlex.join(args), **breaches))
    code = process.ended()
    return code, process.said.decode()
