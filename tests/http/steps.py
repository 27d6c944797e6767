"""The steps that most tests of endpoints begin with, and what they look at afterwards."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

SECRET: Final = "a quiet rope of seven"
USER_KEY: Final = re.compile(r"uk_[0-7][0-9a-hjkmnp-tv-z]{25}")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
ISSUER: Final = "https://auth.example.org"
PROBLEM: Final = frozenset({"type", "title", "status", "detail", "code", "request_id"})


def register(api, name: str = "Ada", secret: str = SECRET) -> str:
    """A new user's key."""
    answer = api.post("/register", json={"user_id": name, "user_secret": secret})
    assert answer.status_code == 201, answer.text
    return answer.json()["user_key"]


def authenticate(api, user_key: str, secret: str = SECRET, **more: Any) -> dict[str, str]:
    """A new session's tokens."""
    body = {"user_key": user_key, "user_secret": secret}
    answer = api.post("/authenticate", json=body, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refresh(api, token: str, **more: Any):
    """The answer to a refresh."""
    return api.post("/refresh", json={"refresh_token": token}, **more)


def me(api, token: str):
    """The answer to who an access token's holder is."""
    return api.get("/me", headers={"Authorization": f"Bearer {token}"})


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWT, unchecked."""
    header, claims, _ = token.split(".")
    return _part(header), _part(claims)


def _part(text: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def seconds(text: str) -> float:
    """A time of ours, in seconds since the epoch."""
    assert TIME.fullmatch(text), text
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()


def stored(folder: Path) -> list[str]:
    """The types of all events, in the log's order."""
    with closing(sqlite3.connect(f"file:{folder}/gatebook.db?mode=ro", uri=True)) as store:
        return [topic for (topic,) in store.execute("SELECT topic FROM events ORDER BY position")]


def problem(answer, status: int, code: str, *more: str) -> dict[str, Any]:
    """The body, when it is exactly this problem."""
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    assert set(body) == PROBLEM | set(more)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    return body
