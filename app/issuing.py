"""Access tokens for a session: what they claim and how long they live.

Knows no request: the use cases say for which session and when.
"""

from __future__ import annotations

import asyncio

import msgspec

from app.tokens import access_token
from app.tokens.access_token import Claims, new_jti
from app.tokens.key_ring import KeyRing
from domain.errors import InvalidToken
from domain.policy import SECOND


class Session(msgspec.Struct, frozen=True):
    """What an access token says of a session; times in µs. `ends_at` is the earliest limit."""

    user_key: str
    user_id: str
    session_id: str
    started_at: int
    ends_at: int
    permissions: str


class Issuer:
    """Signs and checks access tokens as one issuer, for one audience; `ttl` in seconds.

    Belongs to the event loop. What is asked for in one turn of it is signed in one go: a signature
    reads 150 KB of tables, for which the processor forgets the code around it, and back (ADR 0021).
    """

    def __init__(self, keys: KeyRing, issuer: str, audience: str, ttl: int) -> None:
        self.keys = keys
        self._issuer = issuer
        self._audience = audience
        self._ttl = ttl
        self._unsigned: list[tuple[Claims, int, asyncio.Future[str]]] = []

    async def issue(self, session: Session, now: int) -> tuple[str, int]:
        """A token that doesn't outlive its session (RFC 9068 §2.2), and its life in seconds.

        Raises `InvalidToken` for a session that is over.
        """
        second = now // SECOND
        lifetime = min(self._ttl, session.ends_at // SECOND - second)
        if lifetime <= 0:
            raise InvalidToken(reason="expired")
        claims = Claims(
            iss=self._issuer,
            sub=session.user_key,
            aud=self._audience,
            iat=second,
            exp=second + lifetime,
            jti=new_jti(),
            client_id=session.user_key,
            sid=session.session_id,
            user_id=session.user_id,
            # The log's clock may be ahead of this one.
            auth_time=min(session.started_at // SECOND, second),
            scope=session.permissions,
        )
        return await self._signed(claims, now), lifetime

    async def _signed(self, claims: Claims, now: int) -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        if not self._unsigned:
            loop.call_soon(self._sign)
        self._unsigned.append((claims, now, future))
        return await future

    def _sign(self) -> None:
        """Once a turn of the loop."""
        unsigned, self._unsigned = self._unsigned, []
        for claims, now, future in unsigned:
            if future.done():
                continue
            try:
                future.set_result(access_token.sign(claims, self.keys.signer(now)))
            except Exception as error:  # noqa: BLE001 - whoever asked hears of it
                future.set_exception(error)

    def check(self, token: str, now: int) -> Claims:
        """The claims of a token of ours; raises `InvalidToken` (RFC 9068 §4)."""
        claims = self.keys.verified(now).genuine(token, now)
        access_token.check(claims, issuer=self._issuer, audience=self._audience, now=now)
        return claims

    def genuine(self, token: str) -> Claims | None:
        """The claims of a token that one of our keys signed, expired or not; None for any other."""
        try:
            return access_token.genuine(token, self.keys.verifying)
        except InvalidToken:
            return None
