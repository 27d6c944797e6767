"""How many failures, and how many registrations, one source is allowed.

Says which buckets a source draws on; the arithmetic, and who waits, is `app.buckets`. Knows
nothing of HTTP: `source` is the peer's address as text, already freed from untrusted headers.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import TracebackType
from typing import Final, Self

from app.buckets import Claim, Hold, Keeper, Limit, MemoryKeeper
from domain.errors import GatebookError, TryLater, Unavailable

FAILURES: Final = 100
"""By one address at once."""
FAILURES_PER_MINUTE: Final = 20
"""That an address gets back."""

_NETWORK: Final = 4  # times an address, for a /24 (IPv4) or a /64 (IPv6)
_SITE: Final = 16  # times an address, for a /48 (IPv6)


class SourceBudget:
    """Failures (a wrong secret, a name that is taken) by address and by its networks.

    An address has 100 and gets 20 a minute back; its /24 or /64 four times, its /48 sixteen
    times that. Parallel guesses spend no more than that, since each holds a place while it is
    checked; parallel right attempts give theirs back and never refuse one another.
    """

    def __init__(self, clock: Callable[[], float], keeper: Keeper | None = None) -> None:
        self._keeper = keeper or MemoryKeeper(clock)
        self._limits = _limits("failures", FAILURES, FAILURES_PER_MINUTE / 60)

    async def reserve(self, source: str) -> Attempt:
        """A place for one attempt, to be taken before its hash is spent.

        Use it as `with await budget.reserve(source) as attempt:`. When no place is free but some
        are in flight, waits for one. Raises `TooManyAttempts` when none is in flight, and
        `Overloaded` when waiting takes too long.
        """
        return Attempt(await self._keeper.reserve(_claims(source, self._limits)))


class Attempt:
    """A place held while a secret is checked. Fails closed: dropped without a word, it is spent.

    As a context it gives the place back when the service could not answer (`TryLater`: nothing
    was learnt from that), and spends it at any other end without a word, a cancelled one too.
    """

    def __init__(self, hold: Hold) -> None:
        self._hold = hold

    def succeeded(self) -> None:
        """The secret was right: the place is free again."""
        self._hold.give_back()

    def failed(self) -> None:
        """The secret was wrong, or the name taken: the place stays spent until time refills it."""
        self._hold.spend()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if isinstance(error, TryLater):
            self._hold.give_back()
        else:
            self._hold.spend()


class RegistrationBudget:
    """New users by source address: `per_hour` at once, and as many an hour from then on.

    Networks have four and sixteen times that, as with failures. 0 is no limit.
    """

    def __init__(
        self, per_hour: int, clock: Callable[[], float], keeper: Keeper | None = None
    ) -> None:
        self._keeper = keeper or MemoryKeeper(clock)
        self._limits = _limits("registrations", per_hour, per_hour / 3600) if per_hour else ()

    async def reserve(self, source: str) -> Registration:
        """A place for one registration; waits and raises as `SourceBudget.reserve` does."""
        return Registration(await self._keeper.reserve(_claims(source, self._limits)))


class Registration:
    """A place held while a user is registered; the other way round: success spends it.

    As a context it gives the place back when the registration was refused, and spends it when
    the end is without a word or the outcome is unknown (`Unavailable`, a cancelled request).
    """

    def __init__(self, hold: Hold) -> None:
        self._hold = hold

    def succeeded(self) -> None:
        """There is one user more: the place stays spent."""
        self._hold.spend()

    def failed(self) -> None:
        """Nobody was registered: the place is free again."""
        self._hold.give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if isinstance(error, GatebookError) and not isinstance(error, Unavailable):
            self._hold.give_back()
        else:
            self._hold.spend()


def _limits(name: str, capacity: int, per_second: float) -> tuple[Limit, Limit, Limit]:
    return (
        Limit(f"{name} by address", capacity, per_second),
        Limit(f"{name} by network", capacity * _NETWORK, per_second * _NETWORK),
        Limit(f"{name} by site", capacity * _SITE, per_second * _SITE),
    )


def _claims(source: str, limits: tuple[Limit, ...]) -> list[Claim]:
    return [Claim(limit, key) for limit, key in zip(limits, places(source), strict=False)]


def places(source: str) -> tuple[str, ...]:
    """The address, its network and its site, from narrow to wide, as keys of buckets.

    An IPv4-mapped IPv6 address is the IPv4 address; a zone (`%eth0`) doesn't count. Whatever is
    no address, such as the peer of a Unix socket, is one and the same place.
    """
    try:
        address: IPv4Address | IPv6Address = ip_address(source)
    except ValueError:
        return ("elsewhere",)
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    number = int(address)
    if isinstance(address, IPv4Address):
        return (f"4/{number:08x}", f"4/{number >> 8:06x}")
    return (f"6/{number:032x}", f"6/{number >> 64:016x}", f"6/{number >> 80:012x}")
