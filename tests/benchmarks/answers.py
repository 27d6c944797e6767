"""Looking at answers: a service that gave everybody the same one would be fast, and worth nothing.

A load generator only counts them. So after each turn the same is asked twice more, for two people,
and what they are told has to be of each of them. Knows the service's HTTP alone.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final

from tests.benchmarks.asking import ask, ask_with
from tests.benchmarks.load import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.load import Target

LOOKED_AT: Final = 2


def look_at_tokens(port: int, path: str, bodies: Sequence[bytes], people: Sequence[str]) -> None:
    """Ask with each of at least two bodies; raises `LoadError` unless each gets its own token.

    `people` are the user_keys that the bodies belong to.
    """
    given = [json.loads(ask(port, path, body))["access_token"] for body in bodies]
    demand_own(path, list(map(claims, given)), people)


def look_at_bearers(targets: Sequence[Target], people: Sequence[str]) -> None:
    """Ask the first request of each target; raises `LoadError` unless each is told of itself.

    An answer names the user as `sub`, or else as `user_key`, and the token or its session.
    """
    told = [json.loads(ask_with(each)) for each in targets]
    demand_own(targets[0].path, told, people)


def demand_own(path: str, told: Sequence[Mapping[str, object]], people: Sequence[str]) -> None:
    """Raises `LoadError` unless each was told of itself, and no two were told the same."""
    named = [each.get("sub", each.get("user_key")) for each in told]
    if named != list(people):
        raise LoadError(f"{path} answered {named} and not {list(people)}: it took one for another")
    own = {each.get("jti", each.get("session_id")) for each in told}
    if len(own) != len(told) or None in own:
        raise LoadError(f"{path} answered several with the same: {sorted(map(str, own))}")


def claims(token: str) -> dict[str, object]:
    """What a JWT claims; nothing is verified."""
    payload = token.split(".")[1] + "=="  # more padding than is needed is let pass
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload))
    return found
