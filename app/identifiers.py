"""Where new ids come from: the one place that draws them.

Knows no user and no session.
"""

from __future__ import annotations

import secrets
import uuid

from domain.refresh_token import format_session_id
from domain.user_key import format_user_key


def new_user_key() -> str:
    """A user_key that was never used: a random UUID (v4)."""
    return format_user_key(uuid.UUID(bytes=secrets.token_bytes(16), version=4).bytes)


def new_session_id() -> str:
    """22 base62 characters of 128 random bits."""
    return format_session_id(secrets.token_bytes(16))


def new_request_id() -> str:
    """32 hex digits."""
    return secrets.token_hex(16)


def new_log_id() -> str:
    """22 base62 characters of 128 random bits."""
    return format_session_id(secrets.token_bytes(16))
