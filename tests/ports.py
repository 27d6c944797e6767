"""Ports for servers that must be told theirs; who can take any asks the system for port 0."""

from __future__ import annotations

import secrets
import socket


def free_port() -> int:
    """One, on every address, that no outgoing connection of anybody's takes meanwhile.

    Those get theirs from 32768 on. Raises OSError when none is free.
    """
    for _ in range(100):
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as trial:
            try:
                trial.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    message = "no port is free"
    raise OSError(message)
