"""What was done a moment ago, for the page after it to tell.

It stands in a cookie: an address can be made by anybody. It names the page, what was done there,
and what more belongs to it. Nothing in it is secret, and nothing follows from it. Knows no page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from litestar import Response

from app.http.problems import AnyRequest
from app.web.cookie import DONE, dropped, kept, value_of
from app.web.page import NO_HEADERS
from app.web.redirect import redirect

_SECONDS: Final = 3600
_FORM: Final = re.compile(r"(/[A-Za-z0-9_/-]{1,200})~([a-z]{1,32})((?:~[A-Za-z0-9_]{1,64}){0,2})")


class Done(NamedTuple):
    """What, and more of it; `over` are the headers by which a browser forgets it."""

    what: str
    more: tuple[str, ...]
    over: Mapping[str, str]


NOTHING: Final = Done("", (), NO_HEADERS)


def then(request: AnyRequest, path: str, what: str, *more: str) -> Response[bytes]:
    """Go there, where it is told."""
    value = "~".join((path, what, *more))
    cookie = f"{kept(request, value, DONE)}; Max-Age={_SECONDS}"
    return redirect(request, path, {"set-cookie": cookie})


def done_before(request: AnyRequest) -> Done:
    """What this page has to tell, perhaps nothing."""
    found = _FORM.fullmatch(value_of(request, DONE) or "")
    if found is None or found[1] != request.scope["path"]:
        return NOTHING
    return Done(found[2], tuple(found[3].split("~")[1:]), {"set-cookie": dropped(request, DONE)})
