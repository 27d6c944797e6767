"""Wishes as tests make them: short, with seeded ids and people whose details can be searched for.

Knows no store.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from app.writer import Wish, Writer
from domain import commands
from domain.refresh_token import format_session_id
from domain.sealed import Clear
from domain.stream import ANONYMOUS, Meta, Origin, actor_of
from domain.user_key import format_user_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.events import LoggedInBy, RevokedWhy

IP: Final = "203.0.113.77"
USER_AGENT: Final = "canary-agent/1.0"
HASH: Final = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"


def seeded(label: str) -> bytes:
    """16 bytes that are always the same for a label."""
    return hashlib.sha256(label.encode()).digest()[:16]


def user_key(label: str) -> str:
    """The user_key of a person that a test names."""
    return format_user_key(seeded(label))


def session_id(who: str, label: str) -> str:
    """The session_id of somebody's session that a test names."""
    return format_session_id(seeded(f"{who} {label}"))


def meta(actor: str = ANONYMOUS, request: str = "") -> Meta:
    """Somebody asks, from a place that is personal."""
    request_id = hashlib.sha256(request.encode()).hexdigest()[:32]
    return Meta(actor, request_id, Origin(IP, USER_AGENT).clear())


def register(who: str, name: str | None = None, secret_hash: str = HASH) -> Wish:
    """Take a name, the person's own label unless another is given."""
    command = commands.RegisterUser(user_key(who), Clear(name or who), Clear(secret_hash))
    return Wish(command, meta(request=f"register {who}"))


def log_in(who: str, session: str, by: LoggedInBy = "secret", *, secret_version: int = 1) -> Wish:
    """Begin a session."""
    key = user_key(who)
    command = commands.StartSession(key, session_id(who, session), by, secret_version)
    return Wish(command, meta(actor_of(key), f"log in {session}"))


def use(who: str, session: str, reason: commands.UseReason = "first") -> Wish:
    """Use a session's first refresh token."""
    key = user_key(who)
    command = commands.RecordUse(key, session_id(who, session), 1, reason)
    return Wish(command, meta(actor_of(key), f"use {session}"))


def rotate(who: str, session: str, generation: int = 1) -> Wish:
    """Change a session's refresh token of this generation."""
    key = user_key(who)
    command = commands.RotateToken(key, session_id(who, session), generation)
    return Wish(command, meta(actor_of(key), f"rotate {session} {generation}"))


def present(who: str, session: str, generation: int = 1) -> Wish:
    """Show a retired refresh token, from elsewhere."""
    key = user_key(who)
    command = commands.PresentRetired(
        key, session_id(who, session), generation, elsewhere=True, seen_at=None
    )
    return Wish(command, meta(actor_of(key), f"present {session} {generation}"))


def end(who: str, session: str, why: RevokedWhy = "owner") -> Wish:
    """End a session."""
    key = user_key(who)
    command = commands.EndSession(key, session_id(who, session), why)
    return Wish(command, meta(actor_of(key), f"end {session}"))


def permit(who: str, *permissions: str) -> Wish:
    """Give exactly these permissions."""
    return Wish(commands.SetPermissions(user_key(who), permissions), meta(request=f"permit {who}"))


def fail(who: str, count: int = 3) -> Wish:
    """Record wrong secrets."""
    command = commands.RecordFailedLogins(user_key(who), count, 1, 2)
    return Wish(command, meta(request=f"fail {who}"))


def commit(writer: Writer, batch: Iterable[Wish]) -> None:
    """Have it all stored; raises the first refusal."""
    for answer in writer.commit(list(batch)):
        if isinstance(answer, Exception):
            raise answer
