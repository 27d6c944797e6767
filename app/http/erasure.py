"""How an erasure is answered: 204 when it is finished, 202 when it goes on in the background.

Knows no rule.
"""

from __future__ import annotations

from typing import Final

from litestar import Response
from litestar.openapi.datastructures import ResponseSpec

from app.http.session import Empty

ERASED: Final = {204: ResponseSpec(None, description="erased, and no byte is left in a file")}
"""How an operation says that it may be finished; its own status is 202."""


def erased(*, finished: bool) -> Response[Empty | None]:
    """The answer to an erasure that was committed."""
    if finished:
        return Response(None, status_code=204)
    return Response(Empty(), status_code=202)
