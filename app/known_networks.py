"""The networks from which a user has logged in: what keeps strangers from locking the owner out.

A network is kept as a keyed hash over the user and it, so that a copy of the database shows
neither the address nor who shares one. Written with the login; knows no budget.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NamedTuple

from domain.policy import DAY
from projections.storage import Statement

CREATE: Final = """
CREATE TABLE known_networks (
  user_key TEXT NOT NULL,
  network_mac BYTEA NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (user_key, network_mac)
)"""
NETWORKS_OF: Final = "SELECT network_mac FROM known_networks WHERE user_key = ?"
FORGET_NETWORKS: Final = "DELETE FROM known_networks WHERE user_key = ?"
"""All of a user's."""

KNOWN_FOR: Final = 30 * DAY
KEPT: Final = 64
"""Networks of one user, the newest."""
NOBODIES: Final = 1 << 20
"""Accounts that all unknown ones share: they take no more room, however many are tried. Whoever had
used them all up would know whom he is still allowed to guess at: that takes too many guesses."""
KEEP_NETWORK: Final = "INSERT INTO known_networks (user_key, network_mac, last_at) VALUES (?, ?, ?)"
"""As it was in another store."""

_ADD: Final = """
INSERT INTO known_networks (user_key, network_mac, last_at) VALUES (?, ?, ?)
ON CONFLICT (user_key, network_mac) DO UPDATE SET last_at = excluded.last_at"""
_DROP_OLD: Final = f"""
DELETE FROM known_networks WHERE user_key = ? AND (last_at < ? OR network_mac NOT IN (
  SELECT network_mac FROM known_networks WHERE user_key = ?
  ORDER BY last_at DESC, network_mac LIMIT {KEPT}))"""  # noqa: S608


class Network(NamedTuple):
    """A network as one user knows it; `last_at` is when a login from there was noted, in µs."""

    mac: bytes
    last_at: int | None

    def is_known(self, now: int) -> bool:
        """Whether the user has logged in from there in the last 30 days."""
        return self.last_at is not None and self.last_at >= now - KNOWN_FOR

    def logged_in(self, user_key: str, now: int) -> tuple[Statement, ...]:
        """What goes in with a login from there: nothing when one was noted less than a day ago."""
        if self.last_at is not None and self.last_at > now - DAY:
            return ()
        return (
            (_ADD, (user_key, self.mac, now)),
            (_DROP_OLD, (user_key, now - KNOWN_FOR, user_key)),
        )

    def alone(self, user_key: str, now: int) -> tuple[Statement, ...]:
        """What goes in with a new secret that is chosen there: who knew the old was elsewhere."""
        return (FORGET_NETWORKS, (user_key,)), (_ADD, (user_key, self.mac, now))


def network_mac(key: bytes, user_key: str, network: str) -> bytes:
    """What stands for a user's network at rest; `key` is the ring's `network` key."""
    return _mac(key, f"{user_key}\n{network}")


def nobody(key: bytes, asked: str) -> str:
    """The account in whose place an unknown one is counted: always the same of `NOBODIES`."""
    return f"nobody {int.from_bytes(_mac(key, asked)) % NOBODIES:05x}"


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
