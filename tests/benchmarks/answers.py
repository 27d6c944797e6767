"""Looking at answers: a service that didn't do its work would be fast, and worth nothing.

A load generator only counts them. So after each turn the same is asked again, for two people, and
what they are told has to be of each of them, and new each time where it is a token; and at the end
of a run what no longer holds has to be refused. Knows the service's HTTP alone.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from tests.benchmarks import asking
from tests.benchmarks.asking import ask, ask_with, compact, status_of
from tests.benchmarks.load import LoadError, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.asking import User

LOOKED_AT: Final = 2
_REFUSED: Final = 401


def look_at_tokens(
    port: int,
    path: str,
    bodies: Sequence[bytes],
    people: Sequence[str],
    again: Sequence[bytes] | None = None,
) -> None:
    """Ask with each of at least two bodies, and once more; each gets its own token, new each time.

    `people` are the user_keys that the bodies belong to. `again` are other bodies of theirs for the
    second time, where the first ones are used up. Raises `LoadError`.
    """
    asked = (*bodies, *(bodies if again is None else again))
    given = [json.loads(ask(port, path, body))["access_token"] for body in asked]
    demand_own(path, list(map(claims, given)), [*people, *people])


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


def demand_end(port: int, user: User) -> None:
    """End a session that has been used, and raise `LoadError` unless it is refused from then on.

    By `/refresh`, and by what its access token opens: an answer that was remembered and not looked
    up would go on.
    """
    [token] = asking.authenticate(port, [user])
    body = compact(refresh_token=token)
    [access] = asking.refresh(port, [body])
    form = urlencode({"token": access}).encode()
    targets = (
        Target(port, "/refresh", (body,), 1),
        Target(port, "/me", (), 1, bearers=(access,)),
        Target(port, "/oauth/introspect", (form,), 1, bearers=(access,), form=True),
    )
    for each in targets:
        ask_with(each)
    ask(port, "/revoke", body)
    for each in targets:
        demand_refusal(each, "a token of a session that was ended")


def demand_refusal(target: Target, what: str) -> None:
    """Raise `LoadError` unless the first request of a load is answered 401."""
    status = status_of(target)
    if status != _REFUSED:
        raise LoadError(f"{target.path} answered {status}, and not {_REFUSED}, to {what}")


def claims(token: str) -> dict[str, object]:
    """What a JWT claims; nothing is verified."""
    payload = token.split(".")[1] + "=="  # more padding than is needed is let pass
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload))
    return found
