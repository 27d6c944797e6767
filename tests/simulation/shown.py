"""What an access token says, whoever signed it. Knows no key."""

from __future__ import annotations

from typing import Any

import msgspec

from app.tokens import base64url


def kid_of(token: str) -> str:
    """Whose key signed an access token."""
    header = base64url.decode(token.partition(".")[0].encode())
    return str(msgspec.json.decode(header)["kid"])


def claims_of(token: str) -> dict[str, Any]:
    """Its claims."""
    payload = base64url.decode(token.split(".")[1].encode())
    return msgspec.json.decode(payload, type=dict[str, Any])
