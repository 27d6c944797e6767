"""People at work: they register, log in, refresh, sometimes revoke, and remember every answer.

Whoever else a ledger has beside works at the same time.

What a `Ledger` holds as acknowledged was answered with success. Knows no store.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tests.prove.client import Answer, Client, Cut, a_source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence

    from tests.prove.tally import Tally

    Work = Callable[[int, "Ledger", asyncio.Event], Coroutine[object, object, None]]

Heard = Literal["answered", "refused", "cut"]

SECRET: Final = "a horse that eats marmalade"
SESSIONS_EACH: Final = 3
FORM: Final = len("gbr_")
CHANGES: Final = (
    *("secret", "permissions given", "permissions taken", "disabled", "enabled", "erased"),
    *("rotated", "one ended", "all ended", "service session", "secret reset"),
    *("all ended by an administrator", "registered by an administrator", "next key"),
)
"""What may be changed besides what people at work do always."""
EACH_CHANGE: Final = tuple(f"acknowledged changes: {kind}" for kind in CHANGES)
"""What has to be counted by where all of these were asked for, at full size."""


def session_of(refresh_token: str) -> str:
    """The session that a refresh token belongs to."""
    return refresh_token[FORM : FORM + 22]


def generation_of(refresh_token: str) -> str:
    """How often it was rotated, in digits that sort as they count."""
    return refresh_token[FORM + 22 : FORM + 28]


class Refused(Exception):
    """An answer without which a proof can't go on."""


class Begun(NamedTuple):
    """What a login gave."""

    access_token: str
    refresh_token: str

    @property
    def session_id(self) -> str:
        """The session that began."""
        return session_of(self.refresh_token)


class Ledger:
    """What was asked, and what was answered."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        """Every name that anybody tried to register."""
        self.registered: dict[str, str] = {}
        """Acknowledged: name and user_key."""
        self.logins: Counter[str] = Counter()
        """Requests to log in, by user_key."""
        self.sessions: dict[str, str] = {}
        """Acknowledged: session and refresh token, unless an end of it was asked for."""
        self.ended: dict[str, str] = {}
        """Acknowledged as ended: session and refresh token."""
        self.beside: tuple[Work, ...] = ()
        """Who works beside those that work always."""
        self.administrator = ""
        """By whom others are changed, if anybody is."""
        self.asked: Counter[str] = Counter()
        """Changes that were asked for: which, and of whom."""
        self.changes: dict[str, str] = {}
        """Acknowledged: such a change, and its kind."""
        self.answers: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self.cut = 0
        self.slowest: dict[Heard, float] = {}
        """Seconds after which the last one heard what he heard, since somebody looked."""
        self.slowest_at: dict[Heard, str] = {}
        """Where that was, and which request."""
        self.at_work: list[Client] = []
        self.pause_s = 0.0
        """How long somebody rests who couldn't register: an address may try so much in vain."""

    @property
    def acknowledged(self) -> int:
        """How many changes were answered with success."""
        sessions = len(self.sessions) + 2 * len(self.ended)
        return len(self.registered) + sessions + len(self.changes)

    @property
    def refused(self) -> int:
        """How many answers were a 503."""
        return sum(count for each, count in self.answers.items() if each.endswith(" 503"))

    def note(self, path: str, answer: Answer, *good: int) -> bool:
        """Count an answer; whether it is the success, which `good` begins with."""
        self.answers[f"{path} {answer.status}"] += 1
        heard: Heard = "refused" if answer.status == 503 else "answered"
        self._note(heard, answer.seconds, f"{path} {answer.headers.get('x-request-id')}")
        if answer.status not in good:
            self.unexpected.append(f"{path}: {answer.status} {answer.body[:300]!r}")
        return answer.status == good[0]

    def note_cut(self, cut: Cut) -> None:
        """Count a request that nobody knows the end of."""
        self.cut += 1
        self._note("cut", cut.seconds, "")

    def _note(self, heard: Heard, seconds: float, where: str) -> None:
        if seconds >= self.slowest.get(heard, 0.0):
            self.slowest[heard], self.slowest_at[heard] = seconds, where

    def report(self, tally: Tally) -> None:
        """Tell a tally what there was."""
        tally.count("acknowledged registrations", len(self.registered))
        tally.count("acknowledged sessions", len(self.sessions) + len(self.ended))
        made = Counter(self.changes.values())
        for kind, number in made.items():
            tally.count(f"acknowledged changes: {kind}", number)
        tally.count("answers of 503", self.refused)
        if "refused" in self.slowest:
            tally.figure("slowest 503, s", self.slowest["refused"])


def new_name() -> str:
    """A name that nobody has."""
    return f"person-{secrets.token_hex(8)}"


async def register(client: Client, ledger: Ledger, token: str = "") -> str | None:
    """Take a new name, or let an administrator give it, by an access token.

    The user_key, or None when nobody knows whether it was taken.
    """
    name, path = new_name(), "/users" if token else "/register"
    ledger.names.add(name)
    answer = await client.call("POST", path, token, user_id=name, user_secret=SECRET)
    if not ledger.note(path, answer, 201, 503):
        if answer.status != 503:
            return None
        answer = await client.post("/userkey", user_id=name, user_secret=SECRET)
        if not ledger.note("/userkey", answer, 200, 401, 503):
            return None
    ledger.registered[name] = answer.json["user_key"]
    return ledger.registered[name]


async def log_in(client: Client, ledger: Ledger, user_key: str, secret: str = SECRET) -> str | None:
    """Start a session; its refresh token, or None when nobody knows whether there is one."""
    ledger.logins[user_key] += 1
    answer = await client.post("/authenticate", user_key=user_key, user_secret=secret)
    if not ledger.note("/authenticate", answer, 200, 503):
        return None
    token: str = answer.json["refresh_token"]
    ledger.sessions[session_of(token)] = token
    return token


async def start(client: Client, user_key: str, secret: str = SECRET) -> Begun:
    """Start a session where nothing stands in the way; raises `Refused`."""
    answer = await client.post("/authenticate", user_key=user_key, user_secret=secret)
    if answer.status != 200:
        raise Refused(f"/authenticate: {answer.status} {answer.body[:200]!r}")
    return Begun(**answer.json)


async def refresh(client: Client, ledger: Ledger, token: str) -> bool:
    """Use a token; whether it worked."""
    return ledger.note("/refresh", await client.post("/refresh", refresh_token=token), 200, 503)


async def revoke(client: Client, ledger: Ledger, token: str) -> None:
    """End a session."""
    session_id = session_of(token)
    del ledger.sessions[session_id]
    for _ in range(2):  # whoever is answered 503 repeats it
        if ledger.note("/revoke", await client.post("/revoke", refresh_token=token), 200, 503):
            ledger.ended[session_id] = token
            return


async def person(port: int, ledger: Ledger, over: asyncio.Event) -> None:
    """One after another until it is over; when the connection is cut, so is the work."""
    async with Client(port, a_source()) as client:
        with at_work(client, ledger):
            while not over.is_set():
                user_key = await register(client, ledger)
                if user_key is None:
                    await asyncio.sleep(ledger.pause_s)
                for each in range(SESSIONS_EACH if user_key else 0):
                    token = await log_in(client, ledger, user_key or "")
                    if token is not None:
                        await refresh(client, ledger, token)
                        if each == 0:
                            await revoke(client, ledger, token)


@contextmanager
def at_work(client: Client, ledger: Ledger) -> Iterator[None]:
    """The ledger knows of one at work, whose work ends when the connection is cut."""
    ledger.at_work.append(client)
    try:
        yield
    except Cut as cut:
        ledger.note_cut(cut)
    finally:
        ledger.at_work.remove(client)


@asynccontextmanager
async def working(ports: Sequence[int], ledger: Ledger, people: int = 16) -> AsyncIterator[None]:
    """People at work on these servers in turn, until the end of `with`."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for each in range(people):
            group.create_task(person(ports[each % len(ports)], ledger, over))
        for each, work in enumerate(ledger.beside):
            group.create_task(work(ports[each % len(ports)], ledger, over))
        try:
            yield
        finally:
            over.set()


async def check_tokens(port: int, ledger: Ledger, sessions: Iterable[str], tally: Tally) -> None:
    """Every acknowledged session of these refreshes, and every one that was ended doesn't."""
    waiting = list(sessions)

    async def check() -> None:
        async with Client(port, a_source()) as client:
            while waiting:
                session_id = waiting.pop()
                ended = session_id in ledger.ended
                token = ledger.ended[session_id] if ended else ledger.sessions[session_id]
                answer = await client.post("/refresh", refresh_token=token)
                tally.expect(
                    answer.status == (401 if ended else 200),
                    f"/refresh of a session that was {'ended' if ended else 'acknowledged'}: "
                    f"{answer.status} {answer.body[:200]!r}",
                )

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(check())
