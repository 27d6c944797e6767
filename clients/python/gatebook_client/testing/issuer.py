"""`FakeIssuer`: users, sessions and a key, in memory, and what the service would answer of them.

Knows no socket; what it answers is sent by `serving`, or by no network at all.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakSet

import httpx
import msgspec

from gatebook_client.auth import GatebookAuth
from gatebook_client.errors import ConfigurationError
from gatebook_client.testing.answering import (
    BASE32,
    BASE62,
    Reply,
    json_reply,
    now_text,
    position_of,
    problem,
    random_text,
    sent_event,
)
from gatebook_client.testing.serving import STREAM, Line, Server, handler
from gatebook_client.testing.sessions import FakeSession, FakeUser
from gatebook_client.testing.signing import Signer
from gatebook_client.tokens import read_times
from gatebook_client.verifier import Verifier

ISSUER: Final = "https://gatebook.test"
TTL: Final = 3600
"""Seconds for which a token is good at most."""
_HEAD_EVERY: Final = 1.0
_KEPT_SECONDS: Final = 3660
_HEARD_SECONDS: Final = 5.0


class FakeIssuer:
    """Keys, users and sessions, in memory; from any thread.

    Args:
        issuer: `iss`, and the address at which clients ask.
        audience: `aud`; the issuer unless given.
        ttl: seconds for which its tokens are good.
        rotate: whether each refresh changes the refresh token.
    """

    def __init__(
        self,
        issuer: str = ISSUER,
        *,
        audience: str | None = None,
        ttl: int = TTL,
        rotate: bool = False,
    ) -> None:
        self.issuer = issuer
        self.audience = audience or issuer
        self.ttl = ttl
        self.rotate = rotate
        self.requests: list[str] = []
        """What was asked, as `METHOD /path`."""
        self.log_id = random_text(BASE62, 22)
        self._users: dict[str, FakeUser] = {}
        self._sessions: dict[str, FakeSession] = {}
        self._revoked: list[dict[str, object]] = []
        self._news = threading.Condition()
        self._verifiers: WeakSet[Verifier] = WeakSet()
        self._away = False
        self._lock = threading.RLock()
        """Of users and sessions; held while nobody waits for a verifier."""
        self._signer = Signer()
        self._jwks = [self._signer.jwk]

    def __repr__(self) -> str:
        """Without keys."""
        return f"FakeIssuer({self.issuer!r})"

    # What a test does

    def user(
        self,
        user_id: str = "ada",
        *,
        user_secret: str = "a quiet rope of seven",  # noqa: S107 - made up, and nobody's
        permissions: Collection[str] = (),
    ) -> FakeUser:
        """A new user."""
        key = "uk_" + random_text(BASE32[:8], 1) + random_text(BASE32, 25)
        with self._lock:
            return self._users.setdefault(
                key, FakeUser(key, user_id, user_secret, sorted(permissions))
            )

    def token(
        self,
        user: FakeUser | None = None,
        *,
        permissions: Collection[str] | None = None,
        expires_in: int | None = None,
        audience: str | None = None,
        **claims: object,
    ) -> str:
        """An access token, of a new session and a new user unless one is given.

        `expires_in` is in seconds, an hour at most, and may be negative: a verifier takes a token
        until its leeway (5 s unless told otherwise) is over, too. `claims` replace any others.

        Raises ConfigurationError for a token that no verifier would take for its long life.
        """
        if expires_in is not None and expires_in > TTL:
            raise ConfigurationError(f"A token is good for {TTL} seconds at most.")
        with self._lock:
            user = user or self.user(f"user{len(self._users) + 1}")
            session = self._begin(user)
        return self._signed(session, permissions, expires_in, audience, claims)

    def revoke(self, token: str) -> None:
        """End the session of an access token or a refresh token.

        When it is done, those that `verifier()` made and that follow revocations know of it.
        """
        session_id = token[4:26] if token.startswith("gbr_") else read_times(token).sid
        self._end(session_id)

    def rotate_key(self, *, withdraw: bool = False) -> None:
        """Sign with a new key; with `withdraw` no token of the old one is good any more."""
        old, self._signer = self._jwks, Signer()
        self._jwks = [self._signer.jwk, *([] if withdraw else old)]
        if withdraw:
            for each in old:
                self._tell(kid=each["kid"])

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nothing is answered meanwhile but 503."""
        self._away = True
        try:
            yield
        finally:
            self._away = False

    def verifier(self, audience: str | None = None, **more: Any) -> Verifier:  # noqa: ANN401 - as Verifier
        """One that asks here; `more` as for Verifier."""
        made = Verifier(
            self.issuer,
            audience or self.audience,
            **{"transport": self.transport, "allow_http": True, **more},
        )
        self._verifiers.add(made)
        return made

    def auth(self, user: FakeUser | None = None, **more: Any) -> GatebookAuth:  # noqa: ANN401 - as GatebookAuth
        """A program's, that authenticates here; `more` as for GatebookAuth."""
        user = user or self.user()
        return GatebookAuth(
            self.issuer,
            user_key=user.user_key,
            user_secret=user.user_secret,
            **{"transport": self.transport, "allow_http": True, **more},
        )

    @property
    def transport(self) -> httpx.MockTransport:
        """A network with nothing in it but this."""
        return httpx.MockTransport(self._answer)

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Answer on a free port of this machine; the address, which becomes the issuer."""
        with Server(("127.0.0.1", 0), handler(self)) as server:
            host, port = server.server_address[:2]
            url = f"http://{host!s}:{port}"
            if self.audience == self.issuer:
                self.audience = url
            self.issuer = url
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            try:
                yield url
            finally:
                server.shutdown()
                thread.join()

    # What is answered

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        """Status, headers and body, as the service's."""
        self.requests.append(f"{method} {path}")
        if self._away:
            return problem(503, "unavailable", "The stand-in is away.", {"Retry-After": "0"})
        if (method, path) == ("GET", "/.well-known/jwks.json"):
            return json_reply(200, {"keys": self._jwks}, {"Cache-Control": "public, max-age=300"})
        if method != "POST" or path not in _POSTS:
            return problem(404, "not_found", "The stand-in doesn't answer this.")
        try:
            given = msgspec.json.decode(body, type=dict[str, Any])
            return _POSTS[path](self, given)
        except (KeyError, msgspec.DecodeError):
            return problem(400, "invalid_request", "A member is missing.")

    def told(self, place: str, line: Line | None = None) -> Iterator[bytes]:
        """The stream of revocations after a place, until its line is shut down."""
        count, begun = position_of(place), False
        yield b": a stand-in\n\n"
        while True:
            with self._news:
                if begun and count == len(self._revoked) and not (line and line.is_shut):
                    self._news.wait(_HEAD_EVERY)
                news, count = self._revoked[count:], len(self._revoked)
            begun = True
            if self._away or (line is not None and line.is_shut):
                return
            for each in news:
                yield sent_event("revocation", each, f"{self.log_id}:{each['position']}")
            head = {"log_id": self.log_id, "position": count, "time": now_text(0)}
            yield sent_event("head", head, None)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == STREAM and not self._away:
            self.requests.append(f"GET {path}")
            line = Line(self._news)
            return httpx.Response(
                200,
                headers={"Content-Type": "text/event-stream"},
                content=self.told(request.headers.get("last-event-id", ""), line),
                extensions={"network_stream": line},
            )
        status, headers, content = self.answer(request.method, path, request.read())
        return httpx.Response(status, headers=headers, content=content)

    def _register(self, given: Mapping[str, str]) -> Reply:
        with self._lock:
            if any(each.user_id == given["user_id"] for each in self._users.values()):
                return problem(409, "user_id_taken", "Another user has this name.")
            made = self.user(given["user_id"], user_secret=given["user_secret"])
        return json_reply(201, {"user_key": made.user_key})

    def _find(self, given: Mapping[str, str]) -> Reply:
        for each in list(self._users.values()):
            if (each.user_id, each.user_secret) == (given["user_id"], given["user_secret"]):
                return json_reply(200, {"user_key": each.user_key})
        return problem(401, "invalid_credentials", "No such user, or another secret.")

    def _authenticate(self, given: Mapping[str, str]) -> Reply:
        user = self._users.get(given["user_key"])
        if user is None or user.user_secret != given["user_secret"]:
            return problem(401, "invalid_credentials", "No such user, or another secret.")
        session = self._begin(user)
        tokens = {
            "access_token": self._signed(session),
            "refresh_token": session.refresh_token(session.generation),
        }
        return json_reply(200, tokens)

    def _refresh(self, given: Mapping[str, Any]) -> Reply:
        token = str(given["refresh_token"])
        session = self._sessions.get(token[4:26])
        shown = session.generation_of(token) if session else None
        if session is None or shown is None:
            return problem(401, "invalid_token", "No such refresh token.", _CHALLENGE)
        with self._lock:
            reason = "revoked" if session.ended else session.present(shown)
            if reason is None:
                answer = {"access_token": self._signed(session)}
                if shown == session.generation and (self.rotate or given.get("rotate")):
                    session.rotate()
                if shown < session.generation:
                    answer["refresh_token"] = session.refresh_token(session.generation)
                return json_reply(200, answer)
        if reason == "reused":
            self._end(session.session_id)
        more = {"reason": reason}
        return problem(401, "invalid_token", "The session has ended.", _CHALLENGE, more)

    def _revoke(self, given: Mapping[str, str]) -> Reply:
        if given["refresh_token"][4:26] in self._sessions:
            self._end(given["refresh_token"][4:26])
        return json_reply(200, {})

    def _begin(self, user: FakeUser) -> FakeSession:
        session = FakeSession(random_text(BASE62, 22), user.user_key, int(time.time()))
        self._sessions[session.session_id] = session
        return session

    def _end(self, session_id: str) -> None:
        session = self._sessions.get(session_id)
        if session is not None:
            session.ended = True
        self._tell(session_id=session_id)

    def _tell(self, **what: str) -> None:
        with self._news:
            position = len(self._revoked) + 1
            told = {"position": position, "until": now_text(_KEPT_SECONDS), **what}
            self._revoked.append(told)
            self._news.notify_all()
        for each in () if self._away else list(self._verifiers):
            each.heard(position, _HEARD_SECONDS)

    def _signed(
        self,
        session: FakeSession,
        permissions: Collection[str] | None = None,
        expires_in: int | None = None,
        audience: str | None = None,
        claims: Mapping[str, object] = {},
    ) -> str:
        user = self._users[session.user_key]
        life = self.ttl if expires_in is None else expires_in
        now = int(time.time())
        # One that is over already was made while it was good.
        iat = now if life > 0 else now + life - self.ttl
        payload = {
            "iss": self.issuer,
            "sub": user.user_key,
            "aud": audience or self.audience,
            "iat": iat,
            "exp": now + life,
            "jti": secrets.token_urlsafe(16),
            "client_id": user.user_key,
            "sid": session.session_id,
            "user_id": user.user_id,
            "auth_time": min(session.started_at, iat),
            "scope": " ".join(sorted(user.permissions if permissions is None else permissions)),
            **claims,
        }
        return self._signer.signed(payload)


_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="gatebook", error="invalid_token"'}
_POSTS: Final = {
    "/register": FakeIssuer._register,  # noqa: SLF001 - its own
    "/userkey": FakeIssuer._find,  # noqa: SLF001
    "/authenticate": FakeIssuer._authenticate,  # noqa: SLF001
    "/refresh": FakeIssuer._refresh,  # noqa: SLF001
    "/revoke": FakeIssuer._revoke,  # noqa: SLF001
}
