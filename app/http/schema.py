"""The description of the API, and a page to read it on that asks nobody else for anything.

Swagger UI is part of the product and read when it is first asked for. Knows no use case.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, Router, get
from litestar.enums import MediaType
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server, Tag

from app.http.caching import etag_of, unchanged
from app.http.description import describe
from app.http.problems import AnyRequest
from app.settings import Settings
from app.version import VERSION
from domain.errors import NotFound

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: what comes from here, and pictures within its style sheet."""

_STATIC: Final = Path(__file__).parent / "static"
_ASSETS: Final = {
    "swagger-ui.css": ("swagger-ui/swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("swagger-ui/swagger-ui-bundle.js", "text/javascript"),
    "schema.css": ("schema.css", "text/css"),
    "schema.js": ("schema.js", "text/javascript"),
}
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gatebook: the API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{base}/swagger-ui.css">
<link rel="stylesheet" href="{base}/schema.css">
</head>
<body>
<div id="description"><noscript>This page needs JavaScript. The description itself is at
<a href="{base}/openapi.json">{base}/openapi.json</a>.</noscript></div>
<script src="{base}/swagger-ui-bundle.js"></script>
<script src="{base}/schema.js"></script>
</body>
</html>
"""
_TEXT: Final = """\
An authentication service whose database is its audit log.

Bodies have exactly the members described, in both directions. Times are RFC 3339, UTC, with six
decimals. Every answer has an `X-Request-Id`. A refusal is a problem (RFC 9457) with a stable
`code`; its `type` leads to a page that says what to do. Any path answers 404 `not_found` when
there is nothing, and 405 `method_not_allowed` to another method, with `Allow`. What is described
below `/oauth` answers an `OAuthError` (RFC 6749 §5.2) in place of any problem, to another method
`invalid_request`."""


class Page(OpenAPIRenderPlugin):
    """The page at `/schema`; `base` is where a browser finds its parts."""

    def __init__(self, base: str) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)
        self._page = _PAGE.format(base=base).encode()

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page, which loads the description itself."""
        del request, openapi_schema
        return self._page


class Document(OpenAPIRenderPlugin):
    """The description at `/schema/openapi.json`, made when it is first asked for."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type=MediaType.JSON)
        self._document: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The JSON."""
        del openapi_schema
        if self._document is None:
            self._document = msgspec.json.encode(describe(request.app))
        return self._document


@lru_cache(maxsize=len(_ASSETS))
def _asset(name: str) -> tuple[bytes, str, str]:
    """Content, media type and entity tag of a part of the page."""
    file, media_type = _ASSETS[name]
    content = (_STATIC / file).read_bytes()
    return content, media_type, etag_of(content)


@get([f"/{name}" for name in _ASSETS])
async def show_asset(request: AnyRequest) -> Response[bytes | None]:
    """A part of the page."""
    content, media_type, etag = _asset(request.scope["path"].rpartition("/")[2])
    headers = {"etag": etag, "cache-control": "public, max-age=3600"}
    if unchanged(request, etag):
        return Response(None, status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


async def _refuse_unknown(request: AnyRequest) -> None:
    """Litestar answers HTML to any other path here; it is a problem as anywhere else."""
    if request.scope["path_template"].endswith("{path}"):
        raise NotFound("There is nothing at this path. See /schema for what there is.")


async def _add_policy(response: Response[Any]) -> Response[Any]:
    if response.media_type == MediaType.HTML:
        response.headers["content-security-policy"] = PAGE_POLICY
    return response


def configuration(settings: Settings) -> OpenAPIConfig:
    """What Litestar describes and serves under `/schema`."""
    base = f"{urlsplit(settings.issuer).path}/schema"
    return OpenAPIConfig(
        title="Gatebook",
        version=VERSION,
        description=_TEXT,
        servers=[
            Server(url=settings.issuer, description="by its public name"),
            Server(url="..", description="where this description was read"),
        ],
        components=Components(
            security_schemes={
                "accessToken": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="The `access_token` of `/authenticate` or `/refresh` (RFC 6750).",
                ),
                "client": SecurityScheme(
                    type="http",
                    scheme="basic",
                    description="user_key and user_secret, each form-encoded (RFC 6749 §2.3.1).",
                ),
            }
        ),
        tags=[
            Tag("Accounts", "A name and a secret for a key."),
            Tag("Sessions", "Tokens, and the sessions behind them."),
            Tag("Me", "The own user."),
            Tag("Users", "All users, for administrators; [the permission] that each needs."),
            Tag("Events", "The log, for administrators; [the permission] that each needs."),
            Tag("Keys", "What a verifier of access tokens needs."),
            Tag("Revocations", "What a verifier must stop believing."),
            Tag("OAuth", "For OAuth clients and resource servers that never heard of Gatebook."),
            Tag("Operations", "For operators and their machines."),
        ],
        use_handler_docstrings=True,
        render_plugins=[Page(base), Document()],
        openapi_router=Router(
            "/schema",
            route_handlers=[show_asset],
            before_request=_refuse_unknown,
            after_request=_add_policy,
            include_in_schema=False,
        ),
    )
