"""Tokens that are asked for together are signed in one go, each its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from app.issuing import Issuer, Session
from app.tokens import access_token
from app.tokens.signing import SigningKey
from app.tokens.verified import Verified
from domain.errors import InvalidToken, Unavailable
from domain.policy import SECOND

if TYPE_CHECKING:
    from app.tokens.key_ring import KeyRing

NOW = 1_800_000_000 * SECOND
KEY = SigningKey.generate("ES256")


class Ring:
    """One key, which can be taken away; notes when it is asked for."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.missing = False
        self.verifying = {KEY.kid: KEY.verifying_key}
        self._verified = Verified(self.verifying)

    def verified(self, now: int) -> Verified:
        assert now == NOW
        return self._verified

    def signer(self, now: int) -> SigningKey:
        assert now == NOW
        self.noted.append("signed")
        if self.missing:
            raise Unavailable
        return KEY


@pytest.fixture
def ring() -> Ring:
    return Ring()


@pytest.fixture
def issuer(ring: Ring) -> Issuer:
    return Issuer(cast("KeyRing", ring), "https://issuer", "https://audience", 600)


def session(name: str, ends_at: int = NOW + 3600 * SECOND) -> Session:
    return Session("uk_" + name, name, "session " + name, NOW, ends_at, "")


def claims(issuer: Issuer, token: str) -> access_token.Claims:
    return issuer.check(token, NOW)


def test_what_is_asked_for_in_one_turn_is_signed_in_one_go(ring: Ring, issuer: Issuer) -> None:
    async def ask(name: str) -> str:
        ring.noted.append(f"asked {name}")
        token, lifetime = await issuer.issue(session(name), NOW)
        assert lifetime == 600
        ring.noted.append(f"has {name}")
        return token

    async def scenario() -> list[str]:
        return [*await asyncio.gather(ask("ada"), ask("bob")), await ask("eve")]

    tokens = asyncio.run(scenario())
    assert [claims(issuer, each).user_id for each in tokens] == ["ada", "bob", "eve"]
    assert [claims(issuer, each).sid[-3:] for each in tokens] == ["ada", "bob", "eve"]
    together = ["asked ada", "asked bob", "signed", "signed", "has ada", "has bob"]
    assert ring.noted == [*together, "asked eve", "signed", "has eve"]


def test_whoever_went_away_gets_no_token_and_the_others_get_theirs(
    ring: Ring, issuer: Issuer
) -> None:
    async def scenario() -> str:
        gone, stays = (
            asyncio.ensure_future(issuer.issue(session(name), NOW)) for name in ("gone", "stays")
        )
        asyncio.get_running_loop().call_soon(gone.cancel)
        token, _ = await stays
        assert gone.cancelled()
        return token

    assert claims(issuer, asyncio.run(scenario())).user_id == "stays"
    assert ring.noted == ["signed"]


def test_without_a_key_everybody_hears_so_and_later_it_goes_on(ring: Ring, issuer: Issuer) -> None:
    async def scenario() -> str:
        ring.missing = True
        asked = (issuer.issue(session(name), NOW) for name in ("ada", "bob"))
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in found] == [Unavailable, Unavailable]
        assert found[0] is not found[1]
        ring.missing = False
        token, _ = await issuer.issue(session("eve"), NOW)
        return token

    assert claims(issuer, asyncio.run(scenario())).user_id == "eve"


def test_a_session_that_is_over_gets_no_token(ring: Ring, issuer: Issuer) -> None:
    async def scenario() -> None:
        with pytest.raises(InvalidToken) as refusal:
            await issuer.issue(session("ada", NOW + SECOND - 1), NOW)
        assert refusal.value.reason == "expired"

    asyncio.run(scenario())
    assert ring.noted == []
