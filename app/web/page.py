"""A page: a template and what it tells, with the headers that keep it to itself.

Nothing but files of the service's own is loaded, and no script or style stands in a page. Knows no
use case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response
from litestar.routes import HTTPRoute
from markupsafe import Markup, escape

from app.http.auth import service_of
from app.http.problems import AnyRequest
from app.sessions import Bearer
from app.version import VERSION
from app.web.asset import asset_path
from app.web.cookie import dropped
from app.web.navigation import is_here, links, place_of
from app.web.program import program

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    # With no referrer at all a browser sends `Origin: null` with a page's forms.
    {"content-security-policy": POLICY, "referrer-policy": "same-origin"}
)
HTML: Final = "text/html"
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

_CODE: Final = re.compile(r"`([^`]*)`")


def coded(text: str) -> Markup:
    """Plain text for a page, with what stands between backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - it is escaped


def moment(text: str) -> str:
    """A time as RFC 3339 has it, for people: to the second, in UTC."""
    return f"{text[:10]} {text[11:19]} UTC"


@cache
def environment() -> Environment:
    """The templates, each read when it is first used."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["coded"] = coded
    made.filters["moment"] = moment
    made.filters["program"] = program
    return made


def base_of(request: AnyRequest) -> str:
    """The path below which a browser finds the service: empty, or that of the issuer."""
    return urlsplit(service_of(request).settings.issuer).path


def visitor_of(request: AnyRequest) -> Bearer | None:
    """Who looks at the page, as it was found when the request came; None for a stranger."""
    found: Bearer | None = request.scope.get("visitor")  # type: ignore[assignment]
    return found


def page(
    request: AnyRequest,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] = NO_HEADERS,
    **told: object,
) -> Response[bytes]:
    """The page that a template makes of what it is told."""
    content = render(request, template, **told)
    forgotten = {"set-cookie": dropped(request)} if request.scope.get("stale") else {}
    merged = {**HEADERS, **forgotten, **headers}
    return Response(content, status_code=status, media_type=HTML, headers=merged)


def render(request: AnyRequest, template: str, **told: object) -> bytes:
    """The same as text, without an answer around it."""
    base, visitor, path = base_of(request), visitor_of(request), place_of(request.scope["path"])

    def url(path: str) -> str:
        return f"{base}{path}"

    def asset(file: str) -> str:
        return f"{base}{asset_path(file)}"

    navigation = [
        (link.name, url(link.path), is_here(link, path))
        for link in links(_paths(request.app), visitor)
    ]
    shared = {
        "url": url,
        "asset": asset,
        "navigation": navigation,
        "visitor": visitor,
        "version": VERSION,
        "settings": service_of(request).settings,
        # Of a form that nobody sent yet.
        "values": {},
        "errors": {},
        "problem": None,
    }
    return environment().get_template(template).render({**shared, **told}).encode()


@cache
def _paths(app: object) -> frozenset[str]:
    """Where there is something to get."""
    routes = getattr(app, "routes", ())
    return frozenset(
        each.path for each in routes if isinstance(each, HTTPRoute) and "GET" in each.methods
    )
