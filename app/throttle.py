"""How many failures a source and an account are allowed, and how many registrations a source.

Says which buckets an attempt draws on; the arithmetic is `app.buckets`, who waits is a keeper's.
Knows nothing of HTTP: `source` is the peer's address as text, already freed from untrusted headers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import TracebackType
from typing import Final, Self

from app.buckets import Claim, Hold, Keeper, Limit
from domain.errors import GatebookError, TooManyAttempts, TryLater, Unavailable

FAILURES: Final = 100
"""By one address, or by one network known to an account, at once."""
FAILURES_PER_MINUTE: Final = 20
"""That an address gets back."""
FAILURES_PER_HOUR: Final = 20
"""That a network known to an account gets back."""
STRANGERS: Final = 50
"""Failures at one account by strangers together, at once; and as many come back in a day."""

_NETWORK: Final = 4  # times an address, for a /24 (IPv4) or a /64 (IPv6)
_SITE: Final = 16  # times an address, for a /48 (IPv6)

_STRANGERS: Final = Limit("failures by strangers", STRANGERS, STRANGERS / 86_400)
_KNOWN: Final = Limit("failures by known network", FAILURES, FAILURES_PER_HOUR / 3600)


class SourceBudget:
    """Failures (a wrong secret, a name that is taken) by address and by its networks.

    An address has 100 and gets 20 a minute back; its /24 or /64 four times, its /48 sixteen
    times that. Parallel guesses spend no more than that, since each holds a place while it is
    checked; parallel right attempts give theirs back and never refuse one another.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._limits = _limits("failures", FAILURES, FAILURES_PER_MINUTE / 60)

    async def reserve(self, source: str) -> Attempt:
        """A place for one attempt, to be taken before its hash is spent.

        Use it as `with await budget.reserve(source) as attempt:`. When no place is free but some
        are in flight, waits for one. Raises `TooManyAttempts` when none is in flight,
        `Overloaded` when waiting takes too long, `Unavailable` when the store is away.
        """
        return Attempt(await self._keeper.reserve(_claims(source, self._limits)))


class AccountBudget:
    """Failures at one account: by strangers together, and by each network that it knows.

    Strangers have 50 and get 50 a day back, so that in any 24 hours no more than 100 guesses of
    theirs are looked at. No success gives them more. A network known to the account has 100 of
    its own and gets 20 an hour back; a right secret makes its bucket as new. Neither draws on the
    other, so that no stranger locks out an owner who comes from where he came from before.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._strangers, self._known = _STRANGERS, _KNOWN

    async def reserve(self, account: str, network: str | None) -> Attempt:
        """A place for one attempt, after that of its source; waits and raises as that does.

        `network` names a network together with the account that knows it; None is a stranger's.
        """
        if network is None:
            return Attempt(await self._keeper.reserve([Claim(self._strangers, account)]))
        claims = [Claim(self._known, network)]
        return Attempt(await self._keeper.reserve(claims), resets=True)


def account_claims(account: str, networks: Iterable[str]) -> list[Claim]:
    """Every bucket that an account can have drawn on; `networks` as in `AccountBudget.reserve`."""
    return [Claim(_STRANGERS, account), *(Claim(_KNOWN, each) for each in networks)]


class _Place(ABC):
    """A place that is held in here. Fails closed: dropped without a word, it stays spent."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._costs_nothing(error):
            self._hold.give_back()
        else:
            self._hold.spend()

    @abstractmethod
    def _costs_nothing(self, error: BaseException | None) -> bool:
        """Whether the place is given back at this end."""


class Attempt(_Place):
    """A place held while a secret is checked.

    As a context it gives the place back when the secret was not looked at, or nothing was said of
    it (`TryLater`, `TooManyAttempts` of another budget), and spends it at any other end without a
    word, a cancelled one too.
    """

    def __init__(self, hold: Hold, *, resets: bool = False) -> None:
        super().__init__(hold)
        self._resets = resets

    def succeeded(self) -> None:
        """The secret was right: the place is free again, or with `resets` the whole bucket."""
        if self._resets:
            self._hold.reset()
        else:
            self._hold.give_back()

    def failed(self) -> None:
        """The secret was wrong, or the name taken: the place stays spent until time refills it."""
        self._hold.spend()

    def _costs_nothing(self, error: BaseException | None) -> bool:
        return isinstance(error, TryLater | TooManyAttempts)


class RegistrationBudget:
    """New users by source address: `per_hour` at once, and as many an hour from then on.

    Networks have four and sixteen times that, as with failures. 0 is no limit.
    """

    def __init__(self, per_hour: int, keeper: Keeper) -> None:
        self._keeper = keeper
        self._limits = _limits("registrations", per_hour, per_hour / 3600) if per_hour else ()

    async def reserve(self, source: str) -> Enrolment:
        """A place for one registration; waits and raises as `SourceBudget.reserve` does."""
        return Enrolment(await self._keeper.reserve(_claims(source, self._limits)))


class Enrolment(_Place):
    """A place held while a user is registered; the other way round: success spends it.

    As a context it gives the place back when the registration was refused, and spends it when
    the end is without a word or the outcome is unknown (`Unavailable`, a cancelled request).
    """

    def _costs_nothing(self, error: BaseException | None) -> bool:
        return isinstance(error, GatebookError) and not isinstance(error, Unavailable)


def _limits(name: str, capacity: int, per_second: float) -> tuple[Limit, Limit, Limit]:
    return (
        Limit(f"{name} by address", capacity, per_second),
        Limit(f"{name} by network", capacity * _NETWORK, per_second * _NETWORK),
        Limit(f"{name} by site", capacity * _SITE, per_second * _SITE),
    )


def _claims(source: str, limits: tuple[Limit, ...]) -> list[Claim]:
    return [Claim(limit, key) for limit, key in zip(limits, places(source), strict=False)]


def network_of(source: str) -> str:
    """The /24 or /64 of an address, as a key; all that is no address is one network."""
    return places(source)[:2][-1]


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
