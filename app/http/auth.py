"""Who calls: the request's id, source and agent, and the holder of its access token.

Knows no rule: the use cases decide what a token is worth.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any

from litestar.connection import ASGIConnection

from app.bootstrap import Service
from app.caller import Caller
from app.sessions import Bearer
from domain.errors import InvalidToken

Connection = ASGIConnection[Any, Any, Any, Any]


def service_of(request: Connection) -> Service:
    """The running service."""
    service: Service = request.scope["service"]  # type: ignore[typeddict-item]
    return service


def caller_of(request: Connection) -> Caller:
    """The request's id and where it comes from."""
    client = request.scope["client"]
    agent = header(request, b"user-agent")
    return Caller(
        request.scope["request_id"],  # type: ignore[typeddict-item]
        canonical(client[0]) if client else None,
        None if agent is None else agent.decode("latin-1"),
    )


@lru_cache(maxsize=4096)
def canonical(address: str) -> str | None:
    """The one spelling of an address; None for what isn't one, as a proxy may pass it on."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def note_user(request: Connection, user_key: str) -> None:
    """Let the request's log line name the user."""
    request.scope["user_key"] = user_key  # type: ignore[typeddict-unknown-key]


async def bearer_of(request: Connection) -> Bearer:
    """The holder of the access token in `Authorization` (RFC 6750 §2.1)."""
    given = header(request, b"authorization")
    scheme, _, token = (given or b"").partition(b" ")
    if scheme.lower() != b"bearer":
        msg = "Send an access token: Authorization: Bearer …"
        raise InvalidToken(msg, shown=False)
    bearer = await service_of(request).sessions.bearer(token.strip(b" ").decode("latin-1"))
    note_user(request, bearer.user_key)
    return bearer


async def allowed(request: Connection, permission: str) -> Bearer:
    """The holder of the access token, who has this permission.

    Raises `InvalidToken`, and `InsufficientPermission` naming it.
    """
    bearer = await bearer_of(request)
    bearer.demand(permission)
    return bearer


def header(request: Connection, wanted: bytes) -> bytes | None:
    """The one value of a header; a repeated one is none."""
    found = headers(request, wanted)
    return found[0] if len(found) == 1 else None


def headers(request: Connection, wanted: bytes) -> list[bytes]:
    """Every value of a header."""
    return [value for name, value in request.scope["headers"] if name == wanted]
