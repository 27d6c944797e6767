"""The answer to a COMMIT is lost: nobody is told that his own name is taken, nothing is doubled.

Security rules 26 and 27. The controls: an error that is trusted, a store that lost something, and a
process that has people wait until it knows what became of a COMMIT.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from tests.prove.client import Client, a_source
from tests.prove.in_time import BUSY_S, in_time
from tests.prove.kept_waiting import WAITS, somebody
from tests.prove.load import Ledger, check_tokens, log_in, register
from tests.prove.proxy import BREAKS, Break, Proxy
from tests.prove.stored import another, check_store, lose_the_last_registration
from tests.prove.tally import Tally
from tests.running import running_all, settings

PROPERTY: Final = "a COMMIT without an answer: success or 503, nothing lost or doubled"
SIZE: Final = 200
OF: Final = "lost answers"
STEP: Final = 50
SHORT: Final = 8
STORES: Final = ("postgresql",)
TOGETHER: Final = 4
"""Commands that wait together, so that batches are cut and not commands alone."""
BREACHES: Final = 4


def prove(url: str, count: int) -> Tally:
    """Lose `count` answers, by each way of losing them in turn."""
    tally, ledger = Tally(), Ledger()
    trusting, doubted = Tally(), Ledger()
    parts = urlsplit(url)
    target = str(parts.hostname), parts.port or 5432
    with (
        another(url) as beside,
        Proxy(*target) as proxy,
        Proxy(*target) as second,
        Proxy(*target) as other,
        running_all(
            settings(proxied(url, proxy)),
            # Their own views would commit as well, and that might be the COMMIT that is cut.
            settings(proxied(url, second), TEST_NOT_FOLLOWING="1", TEST_TRUST_ERRORS="1"),
            settings(proxied(beside, other), TEST_NOT_FOLLOWING="1", **WAITS),
        ) as (server, trusts, waits),
    ):

        async def one_after_another() -> None:
            await _lose(server.port, proxy, ledger, count, tally, BREAKS)
            await _lose(trusts.port, second, doubted, BREACHES, trusting, ("unanswered",))

        async def all_of_it() -> None:
            # It has neither a wire nor a store in common with the others.
            await asyncio.gather(one_after_another(), _waited(other, waits.port, tally))

        asyncio.run(all_of_it())
    for each in ledger.unexpected:
        tally.wrong(each)
    in_time(ledger, "with a COMMIT unanswered", 0.0 if count >= STEP else BUSY_S, tally)
    ledger.report(tally)
    # Stored again, it finds its own name taken, or the very key that it has just been given.
    denials = ("/register: 409", "/register: 500")
    denied = any(each.startswith(denials) for each in doubted.unexpected)
    tally.control("an error that is trusted", noticed=denied)
    # The other server's people are in the same store.
    ledger.names |= doubted.names
    ledger.logins += doubted.logins
    check_store(url, ledger, tally)
    lose_the_last_registration(url, ledger, tally)
    return tally


async def _waited(proxy: Proxy, port: int, tally: Tally) -> None:
    """The control: whoever asks hears once the store, which is away, has told of his COMMIT."""
    async with somebody(port) as one:
        proxy.arm("unanswered", last=True)
        one.ask()
        await one.wait()
        tally.expect(proxy.breaks == 1, "the control's COMMIT was not cut")
        proxy.mend()
        late = await one.heard_late("with a COMMIT unanswered")
    tally.control("a process that waits for what became of a COMMIT", noticed=late)


def proxied(url: str, proxy: Proxy) -> str:
    """The same database, by the proxy."""
    parts = urlsplit(url)
    address = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"
    query = "sslmode=disable&gssencmode=disable"
    return urlunsplit(parts._replace(netloc=address, query=query))


async def _lose(
    port: int,
    proxy: Proxy,
    ledger: Ledger,
    count: int,
    tally: Tally,
    breaks: tuple[Break, ...],
) -> None:
    clients = [Client(port, a_source()) for _ in range(TOGETHER)]
    user_key = ""
    while not user_key:
        user_key = await register(clients[0], ledger) or ""
    for each in range(count):
        before = proxy.breaks
        proxy.arm(breaks[each % len(breaks)])
        if each // len(breaks) % 2:
            await asyncio.gather(*(log_in(client, ledger, user_key) for client in clients))
        else:
            await asyncio.gather(*(register(client, ledger) for client in clients))
        tally.expect(proxy.breaks == before + 1, "no COMMIT was cut")
        tally.tried += 1
    await check_tokens(port, ledger, {*ledger.sessions}, tally)
    await asyncio.gather(*(client.close() for client in clients))
