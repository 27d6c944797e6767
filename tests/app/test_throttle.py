"""Which sources share a budget, how large it is, and what an attempt leaves of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address

import pytest

from app.buckets_memory import MemoryKeeper
from app.throttle import (
    Attempt,
    Enrolment,
    RegistrationBudget,
    SourceBudget,
    account_claims,
    places,
)
from domain.errors import (
    InvalidCredentials,
    Overloaded,
    TooManyAttempts,
    Unavailable,
    UserIdTaken,
)
from tests.docs.pages import DOCS

ADA = "192.0.2.7"


class Clock:
    """Seconds that go on when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


async def failures(budget: SourceBudget, source: str, at_most: int = 10_000) -> int:
    """How many attempts fail before one is refused."""
    for number in range(at_most):
        try:
            attempt = await budget.reserve(source)
        except TooManyAttempts:
            return number
        attempt.failed()
    return at_most


def neighbour(number: int) -> str:
    return f"192.0.2.{number}"


def test_an_address_has_100_failures_and_20_more_a_minute() -> None:
    clock = Clock()
    budget = SourceBudget(MemoryKeeper(clock))

    async def work() -> None:
        assert await failures(budget, ADA) == 100
        clock.now += 60
        assert await failures(budget, ADA) == 20
        clock.now += 3_600
        assert await failures(budget, ADA) == 100

    run(work)


def test_a_refusal_says_in_how_many_seconds_there_is_a_place() -> None:
    clock = Clock()
    budget = SourceBudget(MemoryKeeper(clock))

    async def work() -> None:
        await failures(budget, ADA)
        with pytest.raises(TooManyAttempts) as refusal:
            await budget.reserve(ADA)
        assert refusal.value.retry_after == 3
        clock.now += 3
        assert await failures(budget, ADA) == 1

    run(work)


def test_a_network_of_256_addresses_has_four_times_that() -> None:
    clock = Clock()
    budget = SourceBudget(MemoryKeeper(clock))

    async def work() -> None:
        spent = [await failures(budget, neighbour(number), 50) for number in range(20)]
        assert spent == [50] * 8 + [0] * 12
        assert await failures(budget, "192.0.3.1") == 100
        clock.now += 60
        assert sum([await failures(budget, neighbour(number), 10) for number in range(20)]) == 80

    run(work)


def test_a_64_has_four_times_that_and_a_48_sixteen_times() -> None:
    clock = Clock()
    budget = SourceBudget(MemoryKeeper(clock))

    async def network(number: int) -> int:
        sources = [f"2001:db8:1:{number:x}::{host:x}" for host in range(1, 10)]
        return sum([await failures(budget, source, 90) for source in sources])

    async def work() -> None:
        assert await failures(budget, "2001:db8:2::1") == 100
        assert [await network(number) for number in range(6)] == [400] * 4 + [0, 0]
        assert await failures(budget, "2001:db8:3::1") == 100
        clock.now += 60
        assert sum([await network(number) for number in range(6)]) == 320

    run(work)


def test_an_ipv4_mapped_address_is_the_ipv4_address() -> None:
    budget = SourceBudget(MemoryKeeper(Clock()))

    async def work() -> None:
        assert await failures(budget, f"::ffff:{ADA}") == 100
        assert await failures(budget, ADA) == 0
        assert await failures(budget, "::ffff:c000:207") == 0
        assert await failures(budget, "::ffff:198.51.100.1") == 100

    run(work)


@pytest.mark.parametrize(
    "spelling",
    ["2001:DB8::1", "2001:db8:0:0:0:0:0:1", "2001:db8::1%eth0", str(IPv6Address("2001:db8::1"))],
)
def test_every_spelling_of_an_address_is_one_address(spelling: str) -> None:
    assert places(spelling) == places("2001:db8::1")


def test_an_ipv4_and_an_ipv6_address_of_equal_number_are_two() -> None:
    assert not set(places("0.0.0.1")) & set(places("::1"))


def test_all_that_is_no_address_is_one_source() -> None:
    budget = SourceBudget(MemoryKeeper(Clock()))

    async def work() -> None:
        assert await failures(budget, "unix:/run/gatebook.sock") == 100
        for source in ("", "localhost", "192.0.2.256", "x" * 10_000):
            assert await failures(budget, source) == 0
        assert await failures(budget, ADA) == 100

    run(work)


def test_1000_parallel_guesses_spend_the_budget_and_no_more() -> None:
    budget = SourceBudget(MemoryKeeper(Clock()))
    checked = 0

    async def guess() -> None:
        nonlocal checked
        with await budget.reserve(ADA) as attempt:
            await asyncio.sleep(0)
            checked += 1
            attempt.failed()

    async def work() -> None:
        ends = await asyncio.gather(*(guess() for _ in range(1_000)), return_exceptions=True)
        assert checked == 100
        assert sum(isinstance(end, TooManyAttempts) for end in ends) == 900

    run(work)


def test_1000_parallel_right_attempts_all_succeed_and_cost_nothing() -> None:
    """Security rule 18."""
    keeper = MemoryKeeper(Clock(), patience=60)
    budget = SourceBudget(keeper)

    async def log_in(source: str) -> None:
        with await budget.reserve(source) as attempt:
            await asyncio.sleep(0)
            attempt.succeeded()

    async def work() -> None:
        await asyncio.gather(*(log_in(neighbour(number % 3)) for number in range(1_000)))
        assert len(keeper) == 0
        assert await failures(budget, ADA) == 100

    run(work)


def test_a_right_attempt_does_not_reset_the_budget() -> None:
    """Security rule 18."""
    budget = SourceBudget(MemoryKeeper(Clock()))

    async def work() -> None:
        await failures(budget, ADA, 99)
        (await budget.reserve(ADA)).succeeded()
        assert await failures(budget, ADA) == 1

    run(work)


def end_with(attempt: Attempt | Enrolment, error: BaseException | None) -> None:
    """Leave the context with this error, without having said how it went."""
    if error is None:
        with attempt:
            return
    with pytest.raises(type(error)), attempt:
        raise error


@pytest.mark.parametrize(
    ("error", "spent"),
    [
        (None, 1),
        (InvalidCredentials(), 1),
        (UserIdTaken(), 1),
        (RuntimeError(), 1),
        (asyncio.CancelledError(), 1),
        (Overloaded(), 0),
        (Unavailable(), 0),
        (TooManyAttempts(1), 0),
    ],
)
def test_an_attempt_dropped_without_a_word_is_spent_unless_nothing_was_learnt(
    error: BaseException | None, spent: int
) -> None:
    budget = SourceBudget(MemoryKeeper(Clock()))

    async def work() -> None:
        end_with(await budget.reserve(ADA), error)
        assert await failures(budget, ADA) == 100 - spent

    run(work)


def test_what_was_said_of_an_attempt_counts_whatever_happens_then() -> None:
    budget = SourceBudget(MemoryKeeper(Clock()))

    async def work() -> None:
        right = await budget.reserve(ADA)
        right.succeeded()
        end_with(right, RuntimeError())
        wrong = await budget.reserve(ADA)
        wrong.failed()
        end_with(wrong, Unavailable())
        assert await failures(budget, ADA) == 99

    run(work)


async def registrations(budget: RegistrationBudget, source: str, at_most: int = 10_000) -> int:
    """How many register before one is refused."""
    for number in range(at_most):
        try:
            with await budget.reserve(source):
                pass
        except TooManyAttempts:
            return number
    return at_most


def test_an_address_registers_so_many_users_and_as_many_more_an_hour() -> None:
    clock = Clock()
    budget = RegistrationBudget(30, MemoryKeeper(clock))

    async def work() -> None:
        assert await registrations(budget, ADA) == 30
        with pytest.raises(TooManyAttempts) as refusal:
            await budget.reserve(ADA)
        assert refusal.value.retry_after == 120
        assert await registrations(budget, neighbour(8)) == 30
        clock.now += 1_800
        assert await registrations(budget, ADA) == 15

    run(work)


def test_no_limit_is_no_limit() -> None:
    budget = RegistrationBudget(0, MemoryKeeper(Clock()))

    async def work() -> None:
        assert await registrations(budget, ADA, 2_000) == 2_000

    run(work)


@pytest.mark.parametrize(
    ("error", "spent"),
    [
        (None, 1),
        (RuntimeError(), 1),
        (asyncio.CancelledError(), 1),
        (Unavailable(), 1),
        (UserIdTaken(), 0),
        (Overloaded(), 0),
    ],
)
def test_a_registration_is_spent_unless_it_was_refused(
    error: BaseException | None, spent: int
) -> None:
    budget = RegistrationBudget(5, MemoryKeeper(Clock()))

    async def work() -> None:
        end_with(await budget.reserve(ADA), UserIdTaken())
        end_with(await budget.reserve(ADA), error)
        assert await registrations(budget, ADA) == 5 - spent

    run(work)


def test_failures_and_registrations_are_counted_apart_in_one_keeper() -> None:
    keeper = MemoryKeeper(Clock())
    attempts, new_users = SourceBudget(keeper), RegistrationBudget(5, keeper)

    async def work() -> None:
        assert await registrations(new_users, ADA) == 5
        assert await failures(attempts, ADA) == 100

    run(work)


def test_the_page_for_operators_has_the_figures_of_every_budget() -> None:
    address, network, site = SourceBudget(MemoryKeeper(Clock()))._limits
    known, strangers = (claim.limit for claim in account_claims("", [""])[::-1])
    rows = (
        (address, 60, "a minute"),
        (network, 60, "a minute"),
        (site, 60, "a minute"),
        (strangers, 86_400, "a day"),
        (known, 3_600, "an hour"),
    )
    page = (DOCS / "how-to" / "limit-guessing.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith(("| a", "| its"))]
    table = [line.split(" | ")[1:3] for line in lines]
    told = [(at_once.removesuffix(" failures"), back) for at_once, back in table]
    for limit, seconds, each in rows:
        back = f"{round(limit.per_second * seconds)} {each}"
        assert any(
            at_once == f"{limit.capacity:,}" and said.startswith(back) for at_once, said in told
        ), (limit, told)
