"""A visitor without a browser: forms as a browser sends them, byte for byte where that matters."""

from __future__ import annotations

import itertools
import re
from typing import Final, Self

import httpx

from tests.http.steps import SECRET

PATIENCE: Final = 30.0
"""Seconds; only ever spent when a test fails."""

_numbers = itertools.count(1)


def new_name() -> str:
    """One that nobody has."""
    return f"ada{next(_numbers)}@example.org"


class Visit:
    """Somebody at the pages of the service at `origin`, with the cookies of one browser."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.client = httpx.Client(base_url=origin, timeout=PATIENCE)
        self.name = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str, **headers: str) -> httpx.Response:
        """A page."""
        return self.client.get(path, headers=headers)

    def send(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        """A form, as a page of the service sends it; a header that is empty is left out."""
        given = {"origin": self.origin, "sec-fetch-site": "same-origin", **headers}
        return self.client.post(
            path, data=fields, headers={name: value for name, value in given.items() if value}
        )

    def register(self) -> str:
        """Somebody new; the key that the page shows."""
        self.name = new_name()
        self.send("/web/register", {"user_id": self.name, "user_secret": SECRET})
        answer = self.get("/registered")
        assert answer.status_code == 200, answer.text
        found = re.search(r"uk_[0-7][0-9a-hjkmnp-tv-z]{25}", answer.text)
        assert found, answer.text
        return found[0]

    def log_in(self, who: str = "", secret: str = SECRET) -> httpx.Response:
        """The answer to the form."""
        fields = {"user": who or self.name, "user_secret": secret, "next": "/account"}
        return self.send("/web/login", fields)

    @property
    def token(self) -> str:
        """What the cookie holds."""
        return self.client.cookies["gatebook"]
