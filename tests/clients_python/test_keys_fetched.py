"""The issuer's keys, whatever it answers, or if it doesn't: tokens of known keys go on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import httpx
import msgspec
import pytest

from gatebook_client import Gatebook, TokenRefused, Verifier, VerifierNotReady
from gatebook_client.errors import ServiceUnavailable
from gatebook_client.keys import encode
from gatebook_client.service import Asked, AsyncService, Service
from gatebook_client.testing import FakeIssuer

GARBAGE: dict[str, Callable[[], httpx.Response]] = {
    "bad gzip": lambda: httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=b"zzz"),
    "no UTF-8": lambda: httpx.Response(200, content=b'{"keys":[{"kty":"\xff"}]}'),
    "deep": lambda: httpx.Response(200, content=b'{"keys":[],"x":' + b"[" * 100_000),
    "a problem that is no UTF-8": lambda: httpx.Response(404, content=b'{"code":"\xff"}'),
    "deep keys": lambda: httpx.Response(200, content=b'{"keys":[' + b"[" * 100_000),
    "no JSON": lambda: httpx.Response(200, content=b"<html>"),
    "no keys": lambda: httpx.Response(200, json={"keys": []}),
}


class Switch(httpx.MockTransport):
    """An issuer that answers the keys by `instead`, when there is one."""

    def __init__(self, issuer: FakeIssuer) -> None:
        super().__init__(self.answer)
        self.issuer = issuer
        self.instead: Callable[[], httpx.Response] | None = None
        self.asked = 0
        self.past_caches: list[bool] = []
        """Of each request, whether it passes HTTP caches by."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        self.past_caches.append(request.headers.get("cache-control") == "no-cache")
        if self.instead is not None:
            return self.instead()
        return cast("httpx.Response", self.issuer.transport.handler(request))

    def verifier(self, **more: Any) -> Verifier:
        return self.issuer.verifier(transport=self, revocations=False, **more)


@pytest.fixture
def switch() -> Switch:
    return Switch(FakeIssuer())


@pytest.fixture
def silent(switch: Switch) -> Iterator[Switch]:
    """It doesn't answer until the test is over."""
    over = threading.Event()

    def hang() -> httpx.Response:
        over.wait()
        return httpx.Response(503)

    switch.instead = hang
    yield switch
    over.set()


def age(verifier: Verifier, seconds: float) -> None:
    """Its keys were fetched so much earlier, and the last try is long ago."""
    keys = verifier._keys
    assert keys._set is not None
    keys._set = msgspec.structs.replace(keys._set, at=keys._set.at - seconds)
    keys._asked_at -= seconds


@pytest.mark.parametrize("what", GARBAGE)
def test_an_answer_that_is_no_key_set_is_not_asked_for_again_at_once(
    switch: Switch, what: str
) -> None:
    switch.instead = GARBAGE[what]
    verifier, token = switch.verifier(patience=0.2), switch.issuer.token()
    with pytest.raises(VerifierNotReady):
        verifier.verify(token)
    asked = switch.asked
    for _ in range(3):
        with pytest.raises(VerifierNotReady):
            verifier.verify(token)
        with pytest.raises(VerifierNotReady):
            asyncio.run(verifier.verify_async(token))
    assert switch.asked == asked


@pytest.mark.parametrize("what", GARBAGE)
def test_known_keys_are_used_while_the_answers_are_no_key_sets(switch: Switch, what: str) -> None:
    verifier, token = switch.verifier(patience=0.2), switch.issuer.token()
    verifier.verify(token)
    switch.instead = GARBAGE[what]
    age(verifier, 400)
    assert verifier.verify(token).user_key
    assert asyncio.run(verifier.verify_async(token)).user_key


@pytest.mark.parametrize(
    "odd",
    [
        {"kty": "EC", "kid": 5},
        {"kid": "x"},
        {"kty": None},
        {"kty": "EC", "kid": "x", "crv": "P-256", "alg": "ES256", "x": "AA", "y": "AA"},
        {"kty": "RSA", "alg": "RS256", "n": "", "e": ""},
        "text",
        None,
    ],
    ids=str,
)
def test_an_odd_key_voids_no_other(switch: Switch, odd: object) -> None:
    """RFC 7517 §5."""
    keys = [odd, *switch.issuer._jwks]
    switch.instead = lambda: httpx.Response(200, json={"keys": keys})
    assert switch.verifier().verify(switch.issuer.token()).user_key


def test_a_token_whose_header_nests_without_end_is_refused(switch: Switch) -> None:
    verifier, token = switch.verifier(), switch.issuer.token()
    verifier.verify(token)
    header = encode(b'{"alg":"ES256","typ":"at+jwt","kid":"x","y":' + b"[" * 4000).decode()
    with pytest.raises(TokenRefused):
        verifier.verify(f"{header}.{token.partition('.')[2]}")


def test_nobody_waits_longer_for_keys_than_patience(silent: Switch) -> None:
    token = silent.issuer.token()
    with pytest.raises(VerifierNotReady, match="nothing was answered in time"):
        silent.verifier(patience=0.05).verify(token)
    with pytest.raises(VerifierNotReady, match="nothing was answered in time"):
        asyncio.run(silent.verifier(patience=0.05).verify_async(token))


def test_known_keys_are_used_while_nothing_is_answered(switch: Switch, silent: Switch) -> None:
    hang, silent.instead = silent.instead, None
    verifier, token = switch.verifier(patience=0.05), switch.issuer.token()
    verifier.verify(token)
    silent.instead = hang
    age(verifier, 400)
    assert verifier.verify(token).user_key
    assert verifier._keys._failed_at is not None
    assert verifier._keys.current() is verifier._keys._set


class Endless(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes bit by bit and has no end."""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b" "

    async def __aiter__(self) -> Any:
        while True:
            yield b" "


def test_an_answer_without_end_is_left() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless()))
    service = Service("https://a.test", patience=0, timeout=0.05, transport=transport)
    with pytest.raises(ServiceUnavailable, match="takes too long"):
        service.ask(Asked("GET", "/"))

    async def ask() -> None:
        service = AsyncService("https://a.test", patience=0, timeout=0.05, transport=transport)
        with pytest.raises(ServiceUnavailable, match="takes too long"):
            await service.ask(Asked("GET", "/"))

    asyncio.run(ask())


def test_an_answer_that_can_not_be_decoded_is_none() -> None:
    transport = httpx.MockTransport(lambda _: GARBAGE["bad gzip"]())
    with (
        Gatebook("https://a.test", transport=transport, patience=0) as gatebook,
        pytest.raises(ServiceUnavailable),
    ):
        gatebook.version()


def test_all_who_show_a_new_key_wait_for_the_one_fetch(switch: Switch) -> None:
    issuer, verifier = switch.issuer, switch.verifier()
    verifier.verify(issuer.token())
    issuer.rotate_key()
    age(verifier, 31)
    tokens, asked = [issuer.token() for _ in range(10)], switch.asked
    joined = threading.Semaphore(0)
    join = verifier._keys.after_unknown

    def seen() -> Any:
        found = join()
        joined.release()
        return found

    verifier._keys.after_unknown = seen  # type: ignore[method-assign]

    def answer() -> httpx.Response:
        for _ in tokens:
            joined.acquire(timeout=5)
        return httpx.Response(200, json={"keys": issuer._jwks})

    switch.instead = answer
    with ThreadPoolExecutor(len(tokens)) as pool:
        assert len([caller.user_key for caller in pool.map(verifier.verify, tokens)]) == 10
    assert switch.asked == asked + 1


def settle(verifier: Verifier) -> None:
    """Wait for the fetch that is on."""
    verifier._keys._flight.settle(60)


def test_what_was_asked_for_before_a_key_was_withdrawn_is_asked_for_again(switch: Switch) -> None:
    issuer, verifier = switch.issuer, switch.verifier()
    verifier.verify(issuer.token())
    asked, let = threading.Event(), threading.Event()
    old = list(issuer._jwks)

    def answer() -> httpx.Response:
        switch.instead = None
        asked.set()
        assert let.wait(60)
        return httpx.Response(200, json={"keys": old})

    switch.instead = answer
    age(verifier, 290)
    verifier.verify(issuer.token())  # a fetch begins beside it
    assert asked.wait(60)
    issuer.rotate_key(withdraw=True)
    verifier._keys.withdrawn(old[0]["kid"])
    let.set()
    assert verifier.verify(issuer.token()).user_key
    assert switch.past_caches == [False, False, True]


def test_a_fetch_before_its_time_passes_http_caches_by(switch: Switch) -> None:
    issuer, verifier = switch.issuer, switch.verifier()
    verifier.verify(issuer.token())
    issuer.rotate_key()
    age(verifier, 31)
    verifier.verify(issuer.token())  # of a key that isn't known yet
    verifier._keys.withdrawn(issuer._jwks[0]["kid"])
    settle(verifier)
    verifier._keys.drop()
    settle(verifier)
    age(verifier, 290)
    verifier.verify(issuer.token())
    settle(verifier)
    assert switch.past_caches == [False, True, True, True, False]


def test_a_withdrawn_key_that_could_not_be_fetched_anew_is_tried_again(switch: Switch) -> None:
    issuer, verifier = switch.issuer, switch.verifier(patience=0.0)
    token = issuer.token()
    verifier._keys._flight.join().result(60)
    switch.instead = lambda: httpx.Response(404)
    verifier._keys.withdrawn(issuer._jwks[0]["kid"])
    settle(verifier)
    switch.instead = None
    assert verifier._keys._failed_at is not None
    verifier._keys._failed_at -= 10
    asked = switch.asked
    assert verifier.verify(token).user_key
    settle(verifier)
    assert switch.asked == asked + 1


def test_a_key_that_was_withdrawn_long_ago_brings_about_no_fetch() -> None:
    issuer = FakeIssuer()
    for _ in range(2):
        issuer.rotate_key(withdraw=True)
    verifier = issuer.verifier()
    assert verifier.verify(issuer.token()).user_key
    settle(verifier)
    assert verifier._keys.fetches == 1
    verifier.close()


def test_who_has_no_key_that_may_be_used_is_not_ready_until_it_has(switch: Switch) -> None:
    verifier, token = switch.verifier(patience=0.0, stale_if_error=1), switch.issuer.token()
    verifier.state()
    settle(verifier)
    assert verifier.state().ready
    switch.instead = lambda: httpx.Response(404)
    age(verifier, 302)
    assert not verifier.state().ready
    settle(verifier)
    with pytest.raises(VerifierNotReady):
        verifier.verify(token)
    assert not verifier.state().ready
    # No token comes to who isn't ready: the health check has them fetched.
    switch.instead = None
    assert verifier._keys._failed_at is not None
    verifier._keys._failed_at -= 10
    verifier.state()
    settle(verifier)
    assert verifier.state().ready
