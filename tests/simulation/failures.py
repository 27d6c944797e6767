"""Who may be told to wait (429), given who has failed where.

The promises of `docs/how-to/limit-guessing.md`. Knows the rules as they are written, and no code of
the product that decides by them. What it can't tell for certain it takes for allowed.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.family import Request
    from tests.simulation.process import Answer
    from tests.simulation.witness import Witness

GUESSES: Final = frozenset({"/authenticate", "/userkey"})
STRANGERS: Final = 50
"""After so many failures within a day, an account is closed for a while to where it isn't known."""
OWN: Final = 100
"""And after so many from a network that it knows, to that one."""
_DAY_S: Final = 86_400.0
_KNOWN_S: Final = 20 * _DAY_S
"""Since a login from there: 30 days by a clock that may jump, less the one that isn't noted."""
_KEPT: Final = 64
"""Networks of one user."""


class Failures:
    """Of everybody who keeps to the rules, by label; `clock` gives seconds."""

    def __init__(self, witness: Witness, clock: Callable[[], float]) -> None:
        self._witness = witness
        self._clock = clock
        self._failed = defaultdict[str, list[tuple[float, str]]](list)
        self._known = defaultdict[str, dict[str, float]](dict)

    def answered(self, request: Request, answer: Answer) -> None:
        """Note what counts."""
        if request.path in GUESSES and answer.status == 401:
            self._failed[request.label].append((self._clock(), _network(request)))
        if request.path == "/authenticate" and answer.status == 200:
            self._known[request.user_key][_network(request)] = self._clock()

    def may_wait(self, request: Request) -> bool:
        """Whether this one may be told to, by all that may have failed at the account."""
        since = self._clock() - _DAY_S
        failed = [network for when, network in self._failed[request.label] if when > since]
        if self._is_known(request):
            return failed.count(_network(request)) >= OWN
        return len(failed) >= STRANGERS

    def _is_known(self, request: Request) -> bool:
        user = self._witness.users.get(request.user_key)
        known = self._known[request.user_key]
        at = known.get(_network(request))
        if request.path != "/authenticate" or user is None or at is None:
            return False
        return user.status != "erased" and len(known) < _KEPT and self._clock() - at < _KNOWN_S


def _network(request: Request) -> str:
    """The /24."""
    return request.source.rpartition(".")[0]
