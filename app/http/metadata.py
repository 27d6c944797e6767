"""Where everything is, for clients that look it up (RFC 8414)."""

from typing import Final

import msgspec
from litestar import Response, get

from app.http.auth import service_of
from app.http.controller import Controller
from app.http.key import OPEN_TO_ALL
from app.http.problems import AnyRequest, refusals

_BY_SECRET: Final = ("client_secret_basic", "client_secret_post")


class Metadata(msgspec.Struct, frozen=True):
    """What this authorization server can do, and where."""

    issuer: str
    token_endpoint: str
    introspection_endpoint: str
    revocation_endpoint: str
    jwks_uri: str
    service_documentation: str
    response_types_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] = ("client_credentials", "refresh_token")
    token_endpoint_auth_methods_supported: tuple[str, ...] = (*_BY_SECRET, "none")
    introspection_endpoint_auth_methods_supported: tuple[str, ...] = (*_BY_SECRET, "Bearer")
    revocation_endpoint_auth_methods_supported: tuple[str, ...] = (*_BY_SECRET, "none")


class MetadataController(Controller):
    """For OAuth clients."""

    tags = ("OAuth",)

    @get(
        "/.well-known/oauth-authorization-server",
        operation_id="showMetadata",
        summary="Where everything is, for OAuth clients",
        responses=refusals(),
    )
    async def show_metadata(self, request: AnyRequest) -> Response[Metadata]:
        """The authorization server's metadata."""
        settings = service_of(request).settings
        at = settings.issuer
        found = Metadata(
            issuer=at,
            token_endpoint=f"{at}/oauth/token",
            introspection_endpoint=f"{at}/oauth/introspect",
            revocation_endpoint=f"{at}/oauth/revoke",
            jwks_uri=f"{at}/.well-known/jwks.json",
            service_documentation=f"{at}/schema",
        )
        cached = {"cache-control": f"public, max-age={settings.jwks_max_age}"}
        return Response(found, headers={**OPEN_TO_ALL, **cached})
