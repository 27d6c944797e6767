"""How much and how long: what a connection may send, and a stopping process may take.

Knows no protocol and no server; both are given these.
"""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """How much, in bytes, and how long, in seconds, clients may take."""

    head_bytes: int = 16_384
    body_bytes: int = 1_048_576
    """How much of one body is read at all; the app refuses far less, and then skips the rest."""
    queued_body_bytes: int = 65_536
    head_s: float = 5.0
    body_s: float = 10.0
    idle_s: float = 75.0
    """Longer than what proxies keep an idle connection, so that they close it and not we."""
    linger_s: float = 1.0
    stall_s: float = 30.0
    """How long an answer may wait for a client that doesn't read."""
    drain_s: int = 7
    """How long open requests are waited for once the service is told to stop."""
    exit_s: float = 9.5
    """When the process is gone then, whatever doesn't end."""
