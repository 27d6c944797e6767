"""Whether whoever asks would rather have a page: a browser says so, and a program doesn't.

Knows no page.
"""

from __future__ import annotations

from typing import Final

from litestar.datastructures import Accept

from app.http.problems import AnyRequest
from app.web.page import HTML

_TEXT: Final = "text/plain"


def prefers_html(request: AnyRequest) -> bool:
    """Whether it names pages before text (RFC 9110 §12.5.1); `*/*` names none."""
    accepted = request.headers.get("accept", "")
    return HTML in accepted and Accept(accepted).best_match([_TEXT, HTML], _TEXT) == HTML
