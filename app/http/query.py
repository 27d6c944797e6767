"""Only the parameters that a handler declares, each once: a typing mistake must not change more.

Knows no parameter.
"""

from __future__ import annotations

from typing import Final

from app.http.problems import AnyRequest
from domain.errors import Fault, InvalidRequest

_NO_PARAMETERS: Final = frozenset({"self", "request", "data"})


async def only_known(request: AnyRequest) -> None:
    """Raises `InvalidRequest` naming what is unknown or repeated; for `before_request`."""
    if not request.scope["query_string"]:
        return
    given = [name for name, _ in request.query_params.multi_items()]
    known = set(request.route_handler.parsed_fn_signature.parameters)
    known -= _NO_PARAMETERS | set(request.path_params)
    faults = [
        *(Fault(f"/{name}", "There is no such parameter.") for name in given if name not in known),
        *(Fault(f"/{name}", "It is repeated.") for name in known if given.count(name) > 1),
    ]
    if faults:
        raise InvalidRequest.of(*faults)
