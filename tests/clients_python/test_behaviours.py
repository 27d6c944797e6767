"""The table that the clients of all languages share, read against a stand-in and its own clock.

The clock goes on when every call waits for a renewal, and the renewal waits itself.
"""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from gatebook_client import (
    GatebookAuth,
    GatebookError,
    ReauthenticationRequired,
    ServiceUnavailable,
    SessionEnded,
    TokenExpired,
    TokenRefused,
    UnexpectedAnswer,
    Verifier,
    clocks,
    held,
    hold,
    jwks,
    keeper,
    revocations,
    service,
    verifier,
)
from gatebook_client.sse import SentEvent
from gatebook_client.testing import FakeIssuer
from tests.tokens.forging import b64

TABLE: Final = json.loads(
    (Path(__file__).parents[2] / "clients" / "behaviours.json").read_text(encoding="utf-8")
)
BEHAVIOURS: Final = TABLE["behaviours"]
REVOCATIONS: Final = TABLE["revocations"]
TOKENS: Final = TABLE["tokens"]
URL: Final = "https://auth.example"
API: Final = "https://api.example/orders"
EPOCH: Final = 1_800_000_000.0
"""What the program's clock says when a behaviour begins."""
USER_KEY: Final = "uk_" + "a" * 26
SECRET: Final = {"user_key": USER_KEY, "user_secret": "a quiet rope of seven"}
CODES: Final[dict[type[Exception], str]] = {
    ReauthenticationRequired: "reauthentication_required",
    ServiceUnavailable: "unavailable",
    UnexpectedAnswer: "unexpected_answer",
}
LOOK_EVERY: Final = 0.001

Said = str | dict[str, Any]


class Clock(threading.Event):
    """The program's clock, and the pause between two tries, which lasts until the clock is set."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._moved = threading.Condition()
        self.wakes: float | None = None

    def monotonic(self) -> float:
        return self._now

    def time(self) -> float:
        return EPOCH + self._now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        with self._moved:
            self.wakes = self._now + timeout
            assert self._moved.wait_for(lambda: self.wakes is None, 60)
        return self.is_set()

    def set(self) -> None:
        """Nobody waits for the next try any more."""
        with self._moved:
            super().set()
            self.wakes = None
            self._moved.notify_all()

    def set_to(self, moment: float) -> None:
        with self._moved:
            self._now = max(self._now, moment)
            if self.wakes is not None and self.wakes <= self._now:
                self.wakes = None
            self._moved.notify_all()


class StandIn:
    """The service, and an API that takes its tokens; both answer as they are told to."""

    def __init__(self, clock: Clock, *, life: int, rotates: bool, clock_off: float) -> None:
        self._clock, self._life, self._rotates, self._off = clock, life, rotates, clock_off
        self._sessions = 0
        self._ended = 0
        self.service: list[Said] = []
        self.api: list[Said] = []
        self.gone_until = -1.0
        self.requests = {"/authenticate": 0, "/refresh": 0, "api": 0}
        self.presented: list[int] = []

    def session(self) -> str:
        """A refresh token of a new session."""
        self._sessions += 1
        return _refresh_token(self._sessions, 1)

    def end_sessions(self) -> None:
        self._ended = self._sessions

    def at_service(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.requests[path] += 1
        if self._clock.monotonic() < self.gone_until:
            raise httpx.ConnectError("gone", request=request)
        said = self.service.pop(0) if self.service else "usual"
        if said == "foreign":
            return httpx.Response(200, html="<!doctype html>")
        if isinstance(said, dict):
            return _refusal(said, self._clock.time() - self._off)
        answer = self._usual(path, json.loads(request.content))
        if said == "lost":
            raise httpx.ReadError("lost", request=request)
        return answer

    def at_api(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"].startswith("Bearer e30.")
        self.requests["api"] += 1
        said = self.api.pop(0) if self.api else {"status": 200}
        assert isinstance(said, dict)
        return _refusal(said)

    def _usual(self, path: str, given: dict[str, str]) -> httpx.Response:
        if path == "/authenticate":
            return self._answer(self.session())
        session, generation = int(given["refresh_token"][4:26]), int(given["refresh_token"][26:32])
        self.presented.append(generation)
        if session <= self._ended:
            return _refusal({"status": 401, "code": "invalid_token"})
        return self._answer(_refresh_token(session, generation + 1) if self._rotates else None)

    def _answer(self, refresh_token: str | None) -> httpx.Response:
        iat = int(self._clock.time() - self._off)
        claims = {"iat": iat, "exp": iat + self._life, "sid": "s", "n": sum(self.requests.values())}
        token = f"e30.{b64(json.dumps(claims).encode())}.c2ln"
        more = {"refresh_token": refresh_token} if refresh_token else {}
        return httpx.Response(200, json={"access_token": token, **more})


def _refresh_token(session: int, generation: int) -> str:
    return f"gbr_{session:022d}{generation:06d}{'x' * 49}"


def _refusal(said: dict[str, Any], now: float = 0.0) -> httpx.Response:
    status, code = said["status"], said.get("code")
    headers = {}
    if "retry_after" in said:
        headers["retry-after"] = f"{said['retry_after']}"
    if said.get("as_moment"):
        headers["retry-after"] = formatdate(now + said["retry_after"], usegmt=True)
        headers["date"] = formatdate(now, usegmt=True)
    if "challenge" in said:
        headers["www-authenticate"] = f'Bearer realm="gatebook", error="{said["challenge"]}"'
    body = {"type": "", "title": code, "status": status, "detail": code, "code": code}
    return httpx.Response(status, headers=headers, json=body if code else said.get("body"))


class Trial:
    """One behaviour: a client, what it talks to, and the steps that it takes."""

    def __init__(self, clock: Clock, behaviour: dict[str, Any]) -> None:
        self._clock = clock
        self.stand_in = StandIn(
            clock,
            life=behaviour.get("life_s", 3600),
            rotates=behaviour.get("rotation") == "always",
            clock_off=behaviour.get("clock_off_s", 0),
        )
        held = behaviour["credentials"]
        given: dict[str, Any] = {} if held == "refresh_token" else dict(SECRET)
        if held != "secret":
            given["refresh_token"] = self.stand_in.session()
        self._auth = GatebookAuth(
            URL, transport=httpx.MockTransport(self.stand_in.at_service), **given
        )
        self._auth._keeper._service._closing = clock

    async def take(self, step: dict[str, Any]) -> None:
        await self._pass(step.get("wait_s", 0))
        if "gone_s" in step:
            self.stand_in.gone_until = self._clock.monotonic() + step["gone_s"]
        self.stand_in.service = [*step.get("service", self.stand_in.service)]
        self.stand_in.api = [*step.get("api", self.stand_in.api)]
        if step.get("sessions_end"):
            self.stand_in.end_sessions()
        if "call" in step:
            await self._call(step)

    async def _call(self, step: dict[str, Any]) -> None:
        began = self._clock.monotonic()
        api = httpx.MockTransport(self.stand_in.at_api)
        async with httpx.AsyncClient(auth=self._auth, transport=api) as client:
            calls = [asyncio.create_task(_outcome(client)) for _ in range(step["call"])]
            while not await _settled(calls):
                if self._clock.wakes is not None:
                    self._clock.set_to(self._clock.wakes)
                await asyncio.sleep(LOOK_EVERY)
        assert [call.result() for call in calls] == [step["outcome"]] * step["call"]
        least, most = step.get("took_s", [0, 2])
        assert least <= self._clock.monotonic() - began <= most
        await self._at_rest()

    async def _at_rest(self) -> None:
        """What is done beside the calls is done, or waits."""
        while (flying := self._auth._keeper._flight._flying) and self._clock.wakes is None:
            await asyncio.wait([asyncio.wrap_future(flying)], timeout=LOOK_EVERY)

    async def _pass(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        await self._at_rest()
        while self._clock.wakes is not None and self._clock.wakes <= until:
            self._clock.set_to(self._clock.wakes)
            await self._at_rest()
        self._clock.set_to(until)


async def _settled(calls: list[asyncio.Task[int | str]]) -> bool:
    """Let all go on that can; whether they are through."""
    for _ in range(100):
        await asyncio.sleep(0)
    return all(call.done() for call in calls)


async def _outcome(client: httpx.AsyncClient) -> int | str:
    try:
        return (await client.get(API)).status_code
    except GatebookError as error:
        return CODES[type(error)]


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=[each["name"] for each in BEHAVIOURS])
def test_the_client_behaves_as_all_do(
    behaviour: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    for module in (clocks, held, hold, keeper, service):
        monkeypatch.setattr(module, "time", clock)
    trial = Trial(clock, behaviour)

    async def every() -> None:
        for step in behaviour["steps"]:
            await trial.take(step)

    asyncio.run(every())
    clock.set()
    asked = trial.stand_in.requests
    assert {name: asked[name] for name in behaviour["requests"]} == behaviour["requests"]
    if "presented" in behaviour:
        assert trial.stand_in.presented == behaviour["presented"]


class Followed:
    """A verifier, and what its feed would hear of an issuer that tells its head each second."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._off, self._position = clock, 0, 0
        self._issuer, self._keys_away = FakeIssuer(URL), False
        self._verifier = Verifier(URL, transport=httpx.MockTransport(self._keys))
        assert self._verifier._feed is not None
        self._feed = self._verifier._feed
        self._feed.close()  # so that no thread follows it
        self._head()
        assert self._outcome() == "accepted"

    def take(self, step: dict[str, Any]) -> None:
        self._keys_away = step.get("keys_away", self._keys_away)
        if "ends_s" in step:
            self._revoke(step["ends_s"], session_id=WRITTEN["sid"])
        if "withdrawn_s" in step:
            self._revoke(step["withdrawn_s"], kid=self._issuer._jwks[0]["kid"])
        self._off = step.get("issuer_off_s", self._off)
        for _ in range(step.get("wait_s", 0)):
            self._clock.set_to(self._clock.monotonic() + 1)
            self._head()
        if "outcome" in step:
            assert self._outcome() == step["outcome"]

    def _outcome(self) -> str:
        """Of a token that is signed now."""
        now = int(self._clock.monotonic())
        claims = {"iat": now, "exp": now + 3600}
        try:
            self._verifier.verify(_token(self._issuer, {"claims": claims}))
        except SessionEnded:
            return "session_ended"
        finally:
            self._verifier._keys._flight.settle(60)
        return "accepted"

    def _keys(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == jwks.PATH
        if self._keys_away:
            return httpx.Response(503, headers={"retry-after": "60"})
        headers = {"cache-control": "public, max-age=3600"}
        return httpx.Response(200, headers=headers, json={"keys": self._issuer._jwks})

    def _revoke(self, seconds: int, **what: str) -> None:
        self._position += 1
        until = _written_time(self._clock.time() + seconds)
        self._tell("revocation", until=until, **what)
        self._head()
        self._verifier._keys._flight.settle(60)

    def _head(self) -> None:
        said = {"log_id": "log", "time": _written_time(self._clock.time() + self._off)}
        try:
            self._tell("head", **said)
        except ServiceUnavailable:
            # The clock was set back: the stream is left, and followed anew.
            self._feed._ahead = None
            self._tell("head", **said)

    def _tell(self, name: str, **said: str) -> None:
        data = json.dumps({"position": self._position, **said})
        self._feed._hear(SentEvent(name, data, None))


def _written_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.mark.parametrize("row", REVOCATIONS, ids=[each["name"] for each in REVOCATIONS])
def test_a_revocation_is_remembered_as_by_all(
    row: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    for module in (jwks, revocations, service, verifier):
        monkeypatch.setattr(module, "time", clock)
    followed = Followed(clock)
    for step in row["steps"]:
        followed.take(step)


IAT: Final = int(EPOCH)
MOMENTS: Final = ("iat", "exp", "auth_time")
WRITTEN: Final[dict[str, Any]] = {
    "iss": URL,
    "sub": "uk_ada",
    "aud": URL,
    "iat": IAT,
    "exp": IAT + 3600,
    "jti": "j" * 22,
    "client_id": "uk_ada",
    "sid": "s" * 22,
    "user_id": "Ada",
    "auth_time": IAT,
    "scope": "orders:read",
}


def _written(base: dict[str, Any], changes: dict[str, Any]) -> bytes:
    merged = {**base, **changes}
    return msgspec.json.encode({name: each for name, each in merged.items() if each is not None})


def _token(issuer: FakeIssuer, row: dict[str, Any]) -> str:
    """Signed, whatever it says."""
    moved = {
        name: IAT + value if name in MOMENTS and type(value) is int else value
        for name, value in row.get("claims", {}).items()
    }
    claims = _written(WRITTEN, moved)[:-1] + row.get("more", "").encode() + b"}"
    header = {"alg": "ES256", "typ": "at+jwt", "kid": issuer._jwks[0]["kid"]}
    signed = f"{b64(_written(header, row.get('header', {})))}.{b64(claims)}"
    r, s = decode_dss_signature(issuer._signer._key.sign(signed.encode(), ECDSA(SHA256())))
    return f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@pytest.mark.parametrize("row", TOKENS, ids=[each["name"] for each in TOKENS])
def test_a_token_is_taken_or_refused_as_everywhere(
    row: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 13."""
    issuer, clock = FakeIssuer(URL), Clock()
    token = _token(issuer, row)
    verifying = issuer.verifier(revocations=False, leeway=5)
    clock.set_to(10)
    monkeypatch.setattr(verifier, "time", clock)
    try:
        caller = verifying.verify(token)
    except TokenRefused as error:
        expected = "token_expired" if isinstance(error, TokenExpired) else "token_refused"
        assert row["outcome"] == expected
    else:
        assert row["outcome"] == "accepted"
        changed = {**WRITTEN, **row.get("claims", {})}
        assert (caller.user_key, caller.user_id) == ("uk_ada", changed["user_id"])
        assert " ".join(sorted(caller.permissions)) == changed["scope"]
