"""The documentation: its pages, and the search through them.

A page is the same for everybody but for its head, so a browser that has it is told so.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.params import FromPath, QueryParameter

from app.http.auth import header
from app.http.caching import etag_of, unchanged
from app.http.form import FormRequest
from app.web.controller import PageController
from app.web.docs_files import HOME, PICTURES, root
from app.web.docs_library import Library, library
from app.web.docs_search import LONGEST, MOST
from app.web.page import base_of, page
from domain.errors import NotFound

Query = Annotated[str, QueryParameter(max_length=2_000)]

_ASK_FIRST: Final = {"cache-control": "private, no-cache", "vary": "Cookie"}
_OF_A_PICTURE: Final = {
    "cache-control": "public, max-age=3600",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    ),
}
_OF_A_WISH: Final = {"vary": "HX-Request"}


class DocsPages(PageController):
    """For everybody."""

    @get(HOME)
    async def show_map(self, request: FormRequest) -> Response[Any]:
        """The page that leads to all others."""
        return _shown(request, await library(base_of(request)), HOME)

    @get(f"{HOME}/{{name:path}}")
    async def show_page(self, request: FormRequest, name: FromPath[str]) -> Response[Any]:
        """A page."""
        return _shown(request, await library(base_of(request)), f"{HOME}/{name.strip('/')}")

    @get([f"/{each}" for each in PICTURES])
    async def show_picture(self, request: FormRequest) -> Response[bytes]:
        """One of the pictures, with a style of its own: it is seen outside of any page too."""
        content = (root() / request.scope["path_template"].strip("/")).read_bytes()
        return Response(content, media_type="image/svg+xml", headers={**_OF_A_PICTURE})

    @get(f"{HOME}/search")
    async def search(self, request: FormRequest, q: Query = "") -> Response[bytes]:
        """What is found; by itself for a page that is there already."""
        books = await library(base_of(request))
        asked = " ".join(q[:LONGEST].split())
        alone = header(request, b"hx-request") is not None
        template = "docs_found.html" if alone else "docs_search.html"
        found = list(books.search(asked))
        return page(
            request, template, headers=_OF_A_WISH, query=asked, found=found, most=MOST,
            alone=alone,
            sections=books.sections, here=None,
        )  # fmt: skip


def _shown(request: FormRequest, books: Library, path: str) -> Response[Any]:
    shown = books.pages.get(path)
    if shown is None:
        raise NotFound(f"There is no such page of the documentation. {HOME} leads to all of them.")
    before, after = books.around(shown)
    made: Response[Any] = page(
        request,
        "docs.html",
        headers=_ASK_FIRST,
        sections=books.sections,
        here=shown,
        shown=shown,
        before=before,
        after=after,
        query="",
    )
    made.headers["etag"] = etag = etag_of(made.content)
    if unchanged(request, etag):
        return Response(None, status_code=304, headers=made.headers)
    return made
