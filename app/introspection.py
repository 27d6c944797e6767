"""What an access token is worth now (RFC 7662), and its revocation by its holder (RFC 7009).

The row that a look-up finds decides. Knows no HTTP.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, Literal

import msgspec

from app.caller import Caller
from app.lookup import Lookup
from app.opening import Opener, wrapped_key
from app.recognition import Recognition
from app.registration import Dispatch
from app.tokens import base64url
from app.tokens.access_token import Claims
from domain.commands import EndSession
from domain.errors import InsufficientPermission, InvalidToken
from domain.permission import common, implies
from domain.refresh_token import parse
from domain.stream import actor_of
from projections.token_lookup import TokenRow

INTROSPECT: Final = "tokens:introspect"
BEARER: Final = "Bearer"


class Inactive(msgspec.Struct, frozen=True):
    """Nothing more is said of a token that is good for nothing."""

    active: Literal[False] = False


class Active(msgspec.Struct, frozen=True):
    """An access token that holds; `scope` is what it has and its user still holds."""

    active: Literal[True]
    scope: str
    client_id: str
    username: str
    token_type: Literal["Bearer"]
    exp: int
    iat: int
    sub: str
    aud: str
    iss: str
    jti: str
    sid: str


class Introspection:
    """Belongs to the event loop."""

    def __init__(
        self, lookup: Lookup, dispatch: Dispatch, recognition: Recognition, opener: Opener
    ) -> None:
        self._lookup = lookup
        self._dispatch = dispatch
        self._recognition = recognition
        self._opener = opener

    async def introspect(
        self, token: str, user_key: str, permissions: tuple[str, ...]
    ) -> Active | Inactive:
        """What a token is worth, for somebody who may ask.

        Whoever holds `tokens:introspect` may, and the token's own user; raises
        `InsufficientPermission` for anybody else. A refresh token is never worth anything here.

        Whose token it is, its signature says. When no key vouches for it, as after a withdrawal,
        its own word suffices, whoever wrote it: that such a token is inactive gives nothing away.
        What names somebody else, or nobody, as garbage does, is refused all the same.
        """
        if parse(token) is not None:
            return Inactive()
        claims, row = None, None
        with suppress(InvalidToken):
            claims, row = await self._recognition.recognise(token)
        if not implies(permissions, INTROSPECT):
            known = claims or await self._recognition.genuine(token)
            if not (_names(token, user_key) if known is None else known.sub == user_key):
                raise InsufficientPermission(INTROSPECT)
        return Inactive() if claims is None or row is None else self._active(claims, row)

    async def revoke(self, token: str, user_key: str, caller: Caller) -> None:
        """End the session of an access token of this user's; of any other token do nothing."""
        claims = await self._recognition.genuine(token)
        if claims is None or claims.sub != user_key:
            return
        row = await self._lookup.session(claims.sid)
        if row is not None and row.user_key == user_key:
            command = EndSession(user_key, claims.sid, "owner")
            await self._dispatch(command, caller.meta(actor_of(user_key)))

    def _active(self, claims: Claims, row: TokenRow) -> Active:
        self._opener.at(row.store_generation)
        key = wrapped_key(row.master_id, row.wrapped, row.user_key)
        return Active(
            active=True,
            scope=" ".join(common(row.permissions.split(), claims.scope.split())),
            client_id=claims.client_id,
            username=self._opener.user_id(row.user_key, key, row.user_id or b""),
            token_type=BEARER,
            exp=claims.exp,
            iat=claims.iat,
            sub=claims.sub,
            aud=claims.aud,
            iss=claims.iss,
            jti=claims.jti,
            sid=claims.sid,
        )


def _names(token: str, user_key: str) -> bool:
    """Whether a token that nobody vouches for has the `sub` of this user, spelled as we do.

    It is compared, not read: nothing of it meets a parser.
    """
    try:
        _, payload, _ = token.encode("ascii").split(b".", 3)
        return f'"sub":"{user_key}"'.encode() in base64url.decode(payload)
    except ValueError:
        return False
