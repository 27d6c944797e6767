"""A session that somebody holds, and its tokens.

Knows nothing of what is done with them.
"""

from __future__ import annotations

import base64
import json

from tests.prove.load import session_of


class Held:
    """What is held of one session; a program's has no refresh token."""

    def __init__(self, user: int, access_token: str, refresh_token: str = "") -> None:
        self.user = user
        self.session = session_of(refresh_token) if refresh_token else sid_of(access_token)
        self.access_token = access_token
        self.refresh_token = refresh_token
        self.busy = False


def sid_of(access_token: str) -> str:
    """The session of an access token, by what it says itself."""
    payload = access_token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sid"])
