"""The root of a Merkle tree over a list that grows (RFC 6962 §2.1), with SHA-256.

Whoever notes a root can tell later whether a longer list still begins with what it stood for.
Knows nothing of what the leaves are.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

# A hash that was begun is copied faster than another one is begun.
_LEAF: Final = sha256(b"\x00")
_NODE: Final = sha256(b"\x01")


class Tree:
    """Leaves one after another; keeps one hash for each bit of their count."""

    def __init__(self) -> None:
        self.count = 0
        self._whole: list[bytes] = []

    def add(self, content: bytes) -> None:
        """One more leaf."""
        leaf = _LEAF.copy()
        leaf.update(content)
        node = leaf.digest()
        whole, count = self._whole, self.count
        while count & 1:
            node = _joined(whole.pop(), node)
            count >>= 1
        whole.append(node)
        self.count += 1

    def root(self) -> bytes:
        """The root of the leaves so far."""
        if not self._whole:
            return sha256(b"").digest()
        root = self._whole[-1]
        for left in reversed(self._whole[:-1]):
            root = _joined(left, root)
        return root


def _joined(left: bytes, right: bytes) -> bytes:
    node = _NODE.copy()
    node.update(left + right)
    return node.digest()
