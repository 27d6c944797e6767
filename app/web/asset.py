"""What pages load besides themselves: style, scripts and pictures, named by what they contain.

A name is of one content for ever, so that a browser keeps it. Knows no page.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from litestar import Response, get
from litestar.params import FromPath

from app.http.controller import Controller
from domain.errors import NotFound

PATH: Final = "/web/static"

_FOLDER: Final = Path(__file__).parent / "static"
_MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER: Final = {"cache-control": "public, max-age=31536000, immutable"}


class Asset(NamedTuple):
    """A file, and the name that it has as long as it is this one."""

    name: str
    content: bytes
    media_type: str


@cache
def assets() -> dict[str, Asset]:
    """All of them, by the names of their files."""
    found = {}
    for path in sorted(_FOLDER.rglob("*")):
        if path.suffix in _MEDIA_TYPES:
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:16]
            name = f"{path.stem}.{digest}{path.suffix}"
            found[path.name] = Asset(name, content, _MEDIA_TYPES[path.suffix])
    return found


@cache
def _by_name() -> dict[str, Asset]:
    return {each.name: each for each in assets().values()}


def asset_path(file: str) -> str:
    """Where the file is found, below the service's own address."""
    return f"{PATH}/{assets()[file].name}"


class AssetController(Controller):
    """The files."""

    path = PATH
    include_in_schema = False

    @get("/{name:str}")
    async def show_asset(self, name: FromPath[str]) -> Response[bytes]:
        """A file, which a browser may keep."""
        found = _by_name().get(name)
        if found is None:
            raise NotFound("There is no such file.")
        return Response(found.content, media_type=found.media_type, headers={**_FOR_EVER})
