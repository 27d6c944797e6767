"""The key ring: which keys there are, and which signs when."""

from __future__ import annotations

import pytest

from domain import commands, events
from domain.aggregate import KEYS
from domain.errors import Conflict
from domain.events import Event, KeyAlgorithm
from domain.policy import DAY, SECOND
from domain.signing_keys import SigningKeys, SigningKeyState
from domain.stream import SIGNING_KEYS
from tests.domain.specification import T0, given, number

JWK = {"kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ"}


def add(kid: str, algorithm: KeyAlgorithm = "ES256") -> commands.AddSigningKey:
    return commands.AddSigningKey(kid, algorithm, JWK)


def added(kid: str, algorithm: KeyAlgorithm = "ES256") -> events.SigningKeyAdded:
    return events.SigningKeyAdded(kid, algorithm, JWK)


def active(kid: str, from_: int = T0) -> tuple[Event, ...]:
    return (added(kid), events.SigningKeyActivated(kid, from_))


def ring(*told: int | Event) -> SigningKeys:
    return KEYS.fold(number(SIGNING_KEYS, told))


def signer(keys: SigningKeys, now: int) -> str | None:
    key = keys.signer(now)
    return None if key is None else key.kid


def published(keys: SigningKeys, now: int) -> list[str]:
    return [key.kid for key in keys.published(now)]


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_the_first_key_signs_at_once(algorithm: KeyAlgorithm) -> None:
    given().when(add("a", algorithm), T0 + 7).then(
        added("a", algorithm), events.SigningKeyActivated("a", T0 + 7)
    )


def test_the_next_key_waits() -> None:
    given(*active("a")).when(add("b")).then(added("b"))


def test_a_key_is_added_once() -> None:
    given(*active("a")).when(add("a")).refused(Conflict)
    given(*active("a"), events.SigningKeyWithdrawn("a")).when(add("a")).refused(Conflict)


@pytest.mark.parametrize(
    "gone", [events.SigningKeyWithdrawn("a"), events.SigningKeyRetired("a", T0 + DAY)]
)
def test_a_key_added_where_none_signs_signs_at_once(gone: Event) -> None:
    given(*active("a"), gone).when(add("b"), T0 + 1).then(
        added("b"), events.SigningKeyActivated("b", T0 + 1)
    )


def test_the_ring_decides_nothing_else() -> None:
    with pytest.raises(TypeError):
        KEYS.decide(ring(), commands.OpenLog("x"), given().policy, T0)


def test_a_keys_state_says_all_that_its_events_said() -> None:
    retired = events.SigningKeyRetired("a", T0 + DAY)
    told: tuple[int | Event, ...] = (
        *active("a", T0 + 5),
        T0 + 9,
        retired,
        events.SigningKeyWithdrawn("a"),
    )
    assert ring(*told) == SigningKeys(
        4, {"a": SigningKeyState("a", "ES256", JWK, T0, T0 + 5, T0 + 9, T0 + DAY, withdrawn=True)}
    )


def test_an_empty_ring_has_no_signer() -> None:
    assert signer(ring(), T0) is None
    assert published(ring(), T0) == []


def test_a_key_that_isnt_active_doesnt_sign_but_is_published() -> None:
    keys = ring(added("a"))
    assert signer(keys, T0 + DAY) is None
    assert published(keys, T0) == ["a"]


def test_the_signer_changes_at_the_written_time_and_not_before() -> None:
    """Keys rotated before caches could see them."""
    keys = ring(*active("a"), *active("b", T0 + 600 * SECOND))
    assert signer(keys, T0 + 600 * SECOND - 1) == "a"
    assert signer(keys, T0 + 600 * SECOND) == "b"
    assert published(keys, T0) == ["a", "b"]


def test_a_key_activated_earlier_gives_way_whatever_the_order_of_adding() -> None:
    keys = ring(*active("b", T0 + 10), *active("a", T0 + 5))
    assert signer(keys, T0 + 10) == "b"


def test_a_retired_key_is_published_until_its_last_token_is_over() -> None:
    keys = ring(*active("a"), *active("b"), events.SigningKeyRetired("a", T0 + DAY))
    assert signer(keys, T0) == "b"
    assert published(keys, T0 + DAY - 1) == ["a", "b"]
    assert published(keys, T0 + DAY) == ["b"]


def test_a_withdrawn_key_is_neither_used_nor_published() -> None:
    keys = ring(*active("a"), *active("b", T0 + 1), events.SigningKeyWithdrawn("b"))
    assert signer(keys, T0 + DAY) == "a"
    assert published(keys, T0) == ["a"]


@pytest.mark.parametrize(
    "event",
    [
        events.SigningKeyActivated("x", T0),
        events.SigningKeyRetired("x", T0),
        events.SigningKeyWithdrawn("x"),
        events.LogOpened("x"),
    ],
)
def test_an_event_of_no_known_key_changes_no_key(event: Event) -> None:
    assert ring(*active("a"), event).keys == ring(*active("a")).keys
    assert ring(*active("a"), event).version == 3


def test_a_clock_behind_the_log_s_signs_with_the_first_key() -> None:
    keys = ring(
        events.SigningKeyAdded("a", "ES256", {}),
        events.SigningKeyActivated("a", T0),
    )
    assert signer(keys, T0 - DAY) == "a"


# --- rotation

LEAD = 600 * SECOND
ONE = active("a")


def rotate(
    kid: str = "b", *, at_once: bool = False, max_age: int | None = None
) -> commands.RotateSigningKey:
    return commands.RotateSigningKey(kid, "ES256", JWK, LEAD, at_once, max_age)


def retire(kid: str = "a") -> commands.RetireSigningKey:
    return commands.RetireSigningKey(kid, 60 * SECOND)


def test_a_successor_is_published_before_it_signs() -> None:
    told = given(*ONE).when(rotate(), T0 + DAY).then(*active("b", T0 + DAY + LEAD))
    keys = ring(*told.told)
    assert published(keys, T0 + DAY) == ["a", "b"]
    assert signer(keys, T0 + DAY + LEAD - 1) == "a"
    assert signer(keys, T0 + DAY + LEAD) == "b"


def test_a_rotation_while_a_successor_waits_changes_nothing() -> None:
    told = given(*ONE).when(rotate(), T0 + DAY).then(*active("b", T0 + DAY + LEAD))
    told.when(rotate("c"), T0 + DAY + LEAD - 1).nothing()
    told.when(rotate("c"), T0 + DAY + LEAD).then(*active("c", T0 + DAY + 2 * LEAD))


def test_a_rotation_by_age_waits_until_the_key_is_old() -> None:
    told = given(*ONE)
    told.when(rotate(max_age=DAY), T0 + DAY - 1).nothing()
    told.when(rotate(max_age=DAY), T0 + DAY).then(*active("b", T0 + DAY + LEAD))


def test_at_once_withdraws_every_key_that_could_sign() -> None:
    waiting = given(*ONE).when(rotate(), T0 + DAY).then(*active("b", T0 + DAY + LEAD))
    withdrawn = (events.SigningKeyWithdrawn("a"), events.SigningKeyWithdrawn("b"))
    told = waiting.when(rotate("c", at_once=True), T0 + DAY + 1).then(
        *active("c", T0 + DAY + 1), *withdrawn
    )
    keys = ring(*told.told)
    assert signer(keys, T0 + DAY + 1) == "c"
    assert published(keys, T0 + DAY + 1) == ["c"]
    assert signer(keys, T0 + DAY) == "c", "by a clock that is behind, too"


def test_at_once_withdraws_a_key_that_was_retired_too() -> None:
    """Security rule 15: whoever says that one leaked doesn't know that another has taken over."""
    switched = T0 + LEAD
    retired = given(*ONE).when(rotate(), T0).then(*active("b", switched))
    retired = retired.when(retire(), switched + DAY).then(
        events.SigningKeyRetired("a", switched + DAY + 3_660 * SECOND)
    )
    leaked = switched + DAY + 1
    gone = (events.SigningKeyWithdrawn("a"), events.SigningKeyWithdrawn("b"))
    told = retired.when(rotate("c", at_once=True), leaked).then(*active("c", leaked), *gone)
    assert published(ring(*told.told), leaked) == ["c"]
    told.when(rotate("d", at_once=True), leaked + 1).then(
        *active("d", leaked + 1), events.SigningKeyWithdrawn("c")
    )


def test_a_key_is_retired_once_another_took_over_a_while_ago() -> None:
    told = given(*ONE).when(rotate(), T0).then(*active("b", T0 + LEAD))
    switched = T0 + LEAD
    told.when(retire(), switched + 60 * SECOND - 1).nothing()
    told.when(retire("b"), switched + DAY).nothing()
    retired = switched + 60 * SECOND
    done = told.when(retire(), retired).then(
        events.SigningKeyRetired("a", retired + 3_660 * SECOND)
    )
    done.when(retire(), retired + DAY).nothing()
    keys = ring(*done.told)
    assert published(keys, retired + 3_660 * SECOND - 1) == ["a", "b"]
    assert published(keys, retired + 3_660 * SECOND) == ["b"]


def test_a_successor_was_never_there_before() -> None:
    given(*ONE).when(rotate("a")).refused(Conflict)


def test_a_key_that_is_withdrawn_before_it_signs_never_does() -> None:
    """Nor does it ever look as if it had."""
    told = (events.SigningKeyWithdrawn("a"), events.SigningKeyWithdrawn("b"))
    past = ring(*active("a"), *active("b", T0 + DAY), *told)
    assert past.keys["a"].active_from == T0
    assert past.keys["b"].active_from is None
