"""The root of a Merkle tree over a list that grows (RFC 6962 §2.1), with SHA-256.

Whoever notes a root can tell later whether a longer list still begins with what it stood for.
Knows nothing of what the leaves are.
"""

from __future__ import annotations

from hashlib import sha256


class Tree:
    """Leaves one after another; keeps one hash for each bit of their count."""

    def __init__(self) -> None:
        self.count = 0
        self._whole: list[bytes] = []

    def add(self, content: bytes) -> None:
        """One more leaf."""
        node = sha256(b"\x00" + content).digest()
        whole, count = self._whole, self.count
        while count & 1:
            node = sha256(b"\x01" + whole.pop() + node).digest()
            count >>= 1
        whole.append(node)
        self.count += 1

    def root(self) -> bytes:
        """The root of the leaves so far."""
        if not self._whole:
            return sha256(b"").digest()
        root = self._whole[-1]
        for left in reversed(self._whole[:-1]):
            root = sha256(b"\x01" + left + root).digest()
        return root
