"""Signing keys: what a verifier needs, and their rotation."""

from contextlib import suppress

import msgspec
from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from app.bootstrap import Service
from app.clock import now
from app.http.auth import allowed, caller_of, service_of
from app.http.body import StrictRequest
from app.http.caching import etag_of, unchanged
from app.http.controller import Controller
from app.http.problems import BEARER, OF_A_BODY, OF_THE_STORE, AnyRequest, refusals
from app.http.query import only_known
from app.signing_keys import KeyItem, items
from domain.errors import TryLater
from domain.stream import actor_of


class KeySet(msgspec.Struct, frozen=True):
    """A JWK Set (RFC 7517 §5)."""

    keys: list[dict[str, str]]


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a key is to be changed."""

    now: bool = False


class KeyPage(msgspec.Struct, frozen=True):
    """All signing keys; `next` is always null."""

    items: list[KeyItem]
    next: None


class KeyController(Controller):
    """What signs access tokens."""

    tags = ("Keys",)

    @get(
        "/.well-known/jwks.json",
        operation_id="showKeys",
        summary="The public keys that verify access tokens",
        responses={304: ResponseSpec(None, description="as the given ETag"), **refusals()},
    )
    async def show_keys(self, request: AnyRequest) -> Response[KeySet | None]:
        """The next key, the active one, and retired ones that a token may still need."""
        service = service_of(request)
        await _renew(service)
        keys = KeySet(service.keys.published(now()))
        etag = etag_of(msgspec.json.encode(keys))
        headers = {
            "etag": etag,
            "cache-control": f"public, max-age={service.settings.jwks_max_age}",
        }
        if unchanged(request, etag):
            return Response(None, status_code=304, headers=headers)
        return Response(keys, headers=headers)

    @get(
        "/keys",
        operation_id="listKeys",
        before_request=only_known,
        summary="The signing keys [keys:read]",
        security=BEARER,
        responses=refusals(
            "invalid_request", "invalid_token", "insufficient_permission", *OF_THE_STORE
        ),
    )
    async def list_keys(self, request: StrictRequest) -> KeyPage:
        """Every key since the log began, and what has become of it."""
        await allowed(request, "keys:read")
        return KeyPage(items(service_of(request).keys.known, now()), None)

    @post(
        "/keys/rotate",
        operation_id="rotateKeys",
        summary="Let a new signing key take over [keys:write]",
        status_code=200,
        security=BEARER,
        responses=refusals("invalid_token", "insufficient_permission", *OF_A_BODY, *OF_THE_STORE),
    )
    async def rotate_keys(self, data: JSONBody[Rotation], request: StrictRequest) -> KeyPage:
        """It signs when every verifier can know it, or `now`, for a key that leaked.

        While a new key waits to take over, another call changes nothing.
        """
        bearer = await allowed(request, "keys:write")
        service = service_of(request)
        meta = caller_of(request).meta(actor_of(bearer.user_key))
        await service.key_rotation.rotate(meta, at_once=data.now)
        await service.keys.reload()
        return KeyPage(items(service.keys.known, now()), None)


async def _renew(service: Service) -> None:
    """Take in what other processes have changed; while the store is away, what is known will do.

    A verifier that reads a key set again, for a key that it doesn't know, may keep it for long.
    """
    with suppress(TryLater):
        await service.keys.at((await service.lookup.head()).generation)
