"""Signing keys: what a verifier needs."""

from typing import Final

import msgspec
from litestar import Controller, Response, get
from litestar.openapi.datastructures import ResponseSpec

from app.clock import now
from app.http.auth import service_of
from app.http.caching import etag_of, unchanged
from app.http.problems import AnyRequest, refusals

OPEN_TO_ALL: Final = {"access-control-allow-origin": "*"}


class KeySet(msgspec.Struct, frozen=True):
    """A JWK Set (RFC 7517 §5)."""

    keys: list[dict[str, str]]


class KeyController(Controller):
    """The public halves."""

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
        keys = KeySet(service.keys.published(now()))
        etag = etag_of(msgspec.json.encode(keys))
        headers = {
            **OPEN_TO_ALL,
            "etag": etag,
            "cache-control": f"public, max-age={service.settings.jwks_max_age}",
        }
        if unchanged(request, etag):
            return Response(None, status_code=304, headers=headers)
        return Response(keys, headers=headers)
