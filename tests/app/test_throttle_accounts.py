"""What strangers may guess at one account, and why its owner gets in all the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.buckets_memory import MemoryKeeper
from app.known_networks import KNOWN_FOR, NOBODIES, Network, network_mac, nobody
from app.throttle import AccountBudget, SourceBudget, network_of
from domain.errors import InvalidCredentials, TooManyAttempts
from domain.policy import DAY
from tests.faults.holding import holds
from tests.prove import guessing
from tests.prove.turned import Turned

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.throttle import Attempt

ADA = "uk_ada"
HOME = "home of ada"
KEY = bytes(32)
HALF_MINUTE = 30
DAYS = 3


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


async def failures(budget: AccountBudget, network: str | None, account: str = ADA) -> int:
    """How many attempts fail before one is refused."""
    for number in range(10_000):
        try:
            attempt = await budget.reserve(account, network)
        except TooManyAttempts:
            return number
        attempt.failed()
    return 10_000


def test_strangers_have_50_failures_together_and_50_more_a_day() -> None:
    clock = Turned()
    budget = AccountBudget(MemoryKeeper(clock))

    async def work() -> None:
        assert await failures(budget, None) == 50
        with pytest.raises(TooManyAttempts) as refusal:
            await budget.reserve(ADA, None)
        assert refusal.value.retry_after == 1_728
        assert await failures(budget, None, "uk_ben") == 50
        clock.on(86_400 / 5)
        assert await failures(budget, None) == 10
        clock.on(7 * 86_400)
        assert await failures(budget, None) == 50

    run(work)


def test_a_known_network_has_100_of_its_own_and_20_more_an_hour() -> None:
    clock = Turned()
    budget = AccountBudget(MemoryKeeper(clock))

    async def work() -> None:
        assert await failures(budget, HOME) == 100
        assert await failures(budget, "work of ada") == 100
        assert await failures(budget, None) == 50
        clock.on(3_600)
        assert await failures(budget, HOME) == 20

    run(work)


def test_a_right_secret_makes_the_known_network_s_bucket_as_new() -> None:
    budget = AccountBudget(MemoryKeeper(Turned()))

    async def work() -> None:
        for _ in range(99):
            (await budget.reserve(ADA, HOME)).failed()
        (await budget.reserve(ADA, HOME)).succeeded()
        assert await failures(budget, HOME) == 100

    run(work)


def test_what_is_being_checked_as_a_right_secret_comes_is_not_forgotten() -> None:
    budget = AccountBudget(MemoryKeeper(Turned()))

    async def work() -> None:
        guesses = [await budget.reserve(ADA, HOME) for _ in range(99)]
        (await budget.reserve(ADA, HOME)).succeeded()
        for guess in guesses:
            guess.failed()
        assert await failures(budget, HOME) == 1

    run(work)


@pytest.mark.parametrize("network", [None, HOME])
def test_no_success_gives_strangers_more(network: str | None) -> None:
    budget = AccountBudget(MemoryKeeper(Turned()))

    async def work() -> None:
        for _ in range(49):
            (await budget.reserve(ADA, None)).failed()
        (await budget.reserve(ADA, network)).succeeded()
        assert await failures(budget, None) == 1

    run(work)


def test_what_one_budget_refuses_costs_the_other_nothing() -> None:
    keeper = MemoryKeeper(Turned())
    sources, accounts = SourceBudget(keeper), AccountBudget(keeper)

    async def attempt() -> None:
        with await sources.reserve("192.0.2.7"), await accounts.reserve(ADA, None):
            raise InvalidCredentials

    async def work() -> None:
        await failures(accounts, None)
        remembered = len(keeper)
        for _ in range(200):
            with pytest.raises(TooManyAttempts):
                await attempt()
        assert len(keeper) == remembered

    run(work)


def test_1000_parallel_guesses_spend_the_budget_and_no_more() -> None:
    budget = AccountBudget(MemoryKeeper(Turned()))
    checked: list[Attempt] = []

    async def guess() -> None:
        with await budget.reserve(ADA, None) as attempt:
            await asyncio.sleep(0)
            checked.append(attempt)
            attempt.failed()

    async def work() -> None:
        await asyncio.gather(*(guess() for _ in range(1_000)), return_exceptions=True)
        assert len(checked) == 50

    run(work)


@pytest.mark.parametrize("network", [None, HOME])
def test_1000_parallel_right_attempts_never_refuse_one_another(network: str | None) -> None:
    """Security rule 18."""
    keeper = MemoryKeeper(Turned(), patience=60)
    budget = AccountBudget(keeper)

    async def log_in() -> None:
        with await budget.reserve(ADA, network) as attempt:
            await asyncio.sleep(0)
            attempt.succeeded()

    async def work() -> None:
        await asyncio.gather(*(log_in() for _ in range(1_000)))
        assert len(keeper) == 0

    run(work)


@pytest.mark.parametrize("idle", [0, 3_600, 86_400, 5 * 86_400])
def test_in_any_24_hours_no_more_than_100_guesses_are_looked_at(idle: int) -> None:
    """Whatever window one takes: while strangers guess all the time, and after a pause of theirs.

    The owner gets in each half minute.
    """
    clock = Turned()
    budget = AccountBudget(MemoryKeeper(clock))
    looked_at: list[float] = []

    async def half_minute() -> None:
        (await budget.reserve(ADA, HOME)).succeeded()
        looked_at.extend([clock()] * await failures(budget, None))
        clock.on(HALF_MINUTE)

    async def work() -> None:
        for _ in range(DAYS):
            for _ in range(86_400 // HALF_MINUTE):
                await half_minute()
            clock.on(idle)
        days = guessing.most_in(looked_at, 86_400)
        assert 98 <= days <= 100
        assert len(looked_at) >= 50 * DAYS

    run(work)


def test_a_window_is_counted_wherever_it_begins() -> None:
    """So that the test above can fail."""
    assert guessing.most_in([], 10) == 0
    assert guessing.most_in([0, 9, 10, 11], 10) == 3
    assert guessing.most_in([0, 1, 2, 50, 60], 10) == 3


def test_guesses_from_1000_addresses_over_the_whole_path_of_a_login(database_url: str) -> None:
    """Security rules 9 and 18, in their short form."""
    holds(guessing, database_url)


def test_unknown_accounts_share_so_many_buckets_by_a_keyed_hash() -> None:
    """Security rule 9: a made-up user takes no room that another one doesn't."""
    places = [nobody(KEY, f"uk_{number}") for number in range(20_000)]
    assert places == [nobody(KEY, f"uk_{number}") for number in range(20_000)]
    assert len(set(places)) > len(places) * 0.95
    assert {int(place.split()[1], 16) < NOBODIES for place in places} == {True}
    assert nobody(KEY, "uk_1") != nobody(bytes(31) + b"\1", "uk_1")
    assert nobody(KEY, "\ud800")


def test_a_network_is_hashed_with_its_user() -> None:
    """Security rule 20: a dump doesn't show who shares one."""
    here, there = network_of("192.0.2.7"), network_of("198.51.100.7")
    macs = {
        network_mac(key, user, place)
        for key, user, place in (
            (KEY, ADA, here),
            (KEY, ADA, there),
            (KEY, "uk_ben", here),
            (bytes(31) + b"\1", ADA, here),
        )
    }
    assert {len(mac) for mac in macs} == {32}
    assert len(macs) == 4


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.200", True),
        ("192.0.2.7", "::ffff:192.0.2.8", True),
        ("192.0.2.7", "192.0.3.7", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("", "unix:", True),
    ],
)
def test_a_network_is_a_24_or_a_64(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same


@pytest.mark.parametrize(
    ("ago", "known", "written"),
    [
        (None, False, True),
        (0, True, False),
        (DAY - 1, True, False),
        (DAY, True, True),
        (KNOWN_FOR, True, True),
        (KNOWN_FOR + 1, False, True),
    ],
)
def test_a_network_is_known_for_30_days_and_noted_once_a_day(
    ago: int | None, known: bool, written: bool
) -> None:
    now = 100 * DAY
    network = Network(b"mac", None if ago is None else now - ago)
    assert network.is_known(now) is known
    assert bool(network.logged_in(ADA, now)) is written
