"""Where everything is, for clients that look it up (RFC 8414).

They look at the root of the issuer's host, with the issuer's path behind (§3.1).
"""

from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from app.http.auth import service_of
from app.http.controller import Controller
from app.http.problems import AnyRequest, refusals
from app.settings import Settings
from domain.errors import NotFound

WELL_KNOWN: Final = "/.well-known/oauth-authorization-server"

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
        WELL_KNOWN,
        operation_id="showMetadata",
        summary="Where everything is, for OAuth clients",
        responses=refusals(),
    )
    async def show_metadata(self, request: AnyRequest) -> Response[Metadata]:
        """The authorization server's metadata."""
        return _metadata(service_of(request).settings)

    @get(f"{WELL_KNOWN}/{{issuer_path:path}}", include_in_schema=False)
    async def show_metadata_of_path(
        self, request: AnyRequest, issuer_path: FromPath[str]
    ) -> Response[Metadata]:
        """The same, where clients look for an issuer that has a path."""
        settings = service_of(request).settings
        if issuer_path != unquote(urlsplit(settings.issuer).path):
            raise NotFound("There is no issuer of this path here. See /schema for what there is.")
        return _metadata(settings)


def _metadata(settings: Settings) -> Response[Metadata]:
    at = settings.issuer
    found = Metadata(
        issuer=at,
        token_endpoint=f"{at}/oauth/token",
        introspection_endpoint=f"{at}/oauth/introspect",
        revocation_endpoint=f"{at}/oauth/revoke",
        jwks_uri=f"{at}/.well-known/jwks.json",
        service_documentation=f"{at}/schema",
    )
    return Response(found, headers={"cache-control": f"public, max-age={settings.jwks_max_age}"})
