"""What the stand-in's answers look like: JSON, problems, server-sent events, and made-up names.

Knows neither users nor sessions.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

Reply = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""
BASE32: Final = "0123456789abcdefghjkmnpqrstvwxyz"
BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def position_of(place: str) -> int:
    """Where a stream goes on."""
    number = place.rpartition(":")[2]
    return int(number) if number.isdigit() else 0


def sent_event(name: str, data: object, place: str | None) -> bytes:
    """One server-sent event."""
    lines = [f"event: {name}", f"data: {msgspec.json.encode(data).decode()}"]
    lines += [f"id: {place}"] if place else []
    return "\n".join([*lines, "", ""]).encode()


def json_reply(status: int, body: object, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer."""
    given = {"Cache-Control": "no-store", "Content-Type": "application/json", **(headers or {})}
    return status, given, msgspec.json.encode(body)


def problem(
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, str] | None = None,
) -> Reply:
    """A refusal (RFC 9457)."""
    body = {
        "type": f"about:blank#{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": secrets.token_hex(16),
        **(more or {}),
    }
    return json_reply(status, body, {"Content-Type": "application/problem+json", **(headers or {})})


def random_text(alphabet: str, length: int) -> str:
    """Random characters."""
    return "".join(secrets.choice(alphabet) for _ in range(length))


def now_text(plus: float) -> str:
    """The time, and some seconds more."""
    return datetime.fromtimestamp(time.time() + plus, UTC).isoformat().replace("+00:00", "Z")
