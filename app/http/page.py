"""Pages of lists: which part is asked for, and where the next one is (RFC 8288).

Knows no list.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, Protocol, TypeVar
from urllib.parse import urlencode

from litestar import Response
from litestar.params import QueryParameter

from app.http.problems import AnyRequest
from app.paging import DEFAULT_LIMIT, MAX_LIMIT


class Paged(Protocol):
    """The body of a page."""

    @property
    def next(self) -> str | None:
        """The place to go on from."""


P = TypeVar("P", bound=Paged)

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT, description="How many items at most.")]
After = Annotated[
    str,
    QueryParameter(
        max_length=64, description="The `next` of the page before; the first page without it."
    ),
]
"""Never `str | None`, nor is any parameter: the framework would read the text «null» as none."""
InOrder = Annotated[Literal["asc", "desc"], QueryParameter(description="Oldest or newest first.")]

LIMIT: Final = DEFAULT_LIMIT
START: Final = ""


def paged(
    request: AnyRequest, body: P, headers: Mapping[str, str] = MappingProxyType({})
) -> Response[P]:
    """A page, with a link to the next one: of this path, whatever a proxy calls it."""
    if body.next is None:
        return Response(body, headers={**headers})
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    link = urlencode([*query, ("after", body.next)])
    return Response(body, headers={**headers, "link": f'<?{link}>; rel="next"'})
