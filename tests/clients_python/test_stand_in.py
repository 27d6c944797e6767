"""The stand-in answers as the service does, where a program could tell the difference."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from gatebook_client import (
    Gatebook,
    GatebookAuth,
    InvalidToken,
    ReauthenticationRequired,
    TokenExpired,
    UserIdTaken,
)
from gatebook_client.testing import FakeIssuer
from tests.clients_python.test_failing import token_of

SECRET = "an umbrella of brass"
THREADS = 16


def refreshed(issuer: FakeIssuer, token: str) -> str:
    """The refresh token that one brings."""
    with Gatebook(issuer.issuer, transport=issuer.transport) as gatebook:
        return gatebook.refresh(token).refresh_token or ""


def test_who_lost_the_answer_to_a_rotation_gets_the_same_successor() -> None:
    issuer, lost = FakeIssuer(rotate=True), list[bytes]()
    token = token_of(issuer)

    def losing(request: httpx.Request) -> httpx.Response:
        answer: httpx.Response = issuer.transport.handler(request)  # type: ignore[assignment]
        if not lost:
            lost.append(answer.content)
            raise httpx.ReadError("lost", request=request)
        return answer

    auth = GatebookAuth(issuer.issuer, refresh_token=token, transport=httpx.MockTransport(losing))
    assert auth.access_token()
    assert auth.tokens is not None
    assert (auth.tokens.refresh_token or "?").encode() in lost[0]


def test_a_replaced_refresh_token_ends_the_session_once_its_successor_is_used() -> None:
    issuer = FakeIssuer(rotate=True)
    first = token_of(issuer)
    second = refreshed(issuer, first)
    assert refreshed(issuer, first) == second
    third = refreshed(issuer, second)
    with pytest.raises(InvalidToken) as refused:
        refreshed(issuer, first)
    assert refused.value.problem.reason == "reused"
    with pytest.raises(InvalidToken) as refused:
        refreshed(issuer, third)
    assert refused.value.problem.reason == "revoked"


def test_a_name_is_given_once() -> None:
    issuer, together = FakeIssuer(), Barrier(THREADS)

    def register(_: int) -> bool:
        with Gatebook(issuer.issuer, transport=issuer.transport) as gatebook:
            together.wait()
            try:
                gatebook.register("grace", SECRET)
            except UserIdTaken:
                return False
            return True

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(register, range(THREADS))) == 1


def test_a_token_is_over_when_it_is_said_to_be_and_good_for_an_hour_at_most() -> None:
    issuer = FakeIssuer()
    verifier = issuer.verifier(revocations=False)
    assert verifier.verify(issuer.token(expires_in=3600)).user_key
    with pytest.raises(TokenExpired):
        verifier.verify(issuer.token(expires_in=-60))
    with pytest.raises(ValueError, match="3600 seconds at most"):
        issuer.token(expires_in=3601)


def test_a_session_that_was_ended_is_begun_anew_with_key_and_secret_alone() -> None:
    issuer = FakeIssuer()
    token = token_of(issuer)
    issuer.revoke(token)
    auth = GatebookAuth(issuer.issuer, refresh_token=token, transport=issuer.transport)
    with pytest.raises(ReauthenticationRequired) as refused:
        auth.access_token()
    assert refused.value.problem is not None
    assert refused.value.problem.reason == "revoked"
