"""Canaries: texts that nobody else says, what each stood for, and the search for them.

Knows no service, and no place where one is planted.
"""

from __future__ import annotations

import base64
import re
import secrets
from itertools import count as counted
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LOG: Final = "a log line"
REFUSAL: Final = "a refusal"
ANSWER: Final = "an answer of success"
METRIC: Final = "a metric"
DATABASE: Final = "the database"

PART: Final = "a part of a canary or of an address"
ADDRESS: Final = "a caller's address"

_DIGITS: Final = "123456789abcdef"
"""Without 0, which the spelling of an address may leave out."""
_END: Final = "zzzzzz"
"""So that the number is in the middle, which base64 shows wherever it begins."""
_AROUND: Final = 160
_LONG: Final = re.compile(rb"[0-9A-Za-z_+/=-]{40,}")
"""What a token's secret part can stand in, in any of its spellings: it is at least so long."""


class Flock:
    """Every canary that was let out, and every answer that came back.

    One that is `shown` somewhere may be in such outputs, and in no other.
    """

    def __init__(self) -> None:
        self._mark = "".join(secrets.choice(_DIGITS) for _ in range(16))
        self._planted: list[tuple[str, str, frozenset[str]]] = []
        self._issued: dict[str, str] = {}
        self._addresses = counted(1)
        self.refusals: list[bytes] = []
        self.answers: list[bytes] = []

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self._planted) + len(self._issued)

    def new(self, what: str, shown: Collection[str] = ()) -> str:
        """A canary; `what` it stood for is told when it is found."""
        canary = f"canary{self._mark}n{len(self._planted)}{_END}"
        self._planted.append((canary, what, frozenset(shown)))
        return canary

    def address(self) -> str:
        """An IPv6 address of a site of its own, so that no budget is shared."""
        number = next(self._addresses)
        return f"fd00:{number >> 16:x}:{number & 0xFFFF:x}:0:{self._interface}"

    def issued(self, token: str, what: str) -> None:
        """What a service made is one, too, wherever it isn't given to its owner."""
        self._issued[token] = what

    def found_in(self, where: str, content: bytes) -> set[str]:
        """Which were found, plainly or in a usual disguise; each by what it stood for.

        An answer of success may hold tokens, a name within them, and its owner's addresses.
        """
        found = {*self._plain(where, content.lower())}
        if where != ANSWER:
            found |= {*self._disguised(where, content), *self._tokens(content)}
            if self._interface.encode() in content or bytes.fromhex(self._mark) in content:
                found.add(ADDRESS)
        return found

    @property
    def _interface(self) -> str:
        return ":".join(self._mark[at : at + 4] for at in range(0, 16, 4))

    def _plain(self, where: str, content: bytes) -> Iterator[str]:
        """The mark is searched for, whatever its number; without one it was cut off."""
        for match in re.finditer(self._mark.encode() + rb"(?:n(\d+)z)?", content):
            if match[1] is None:
                yield PART
            else:
                _, what, shown = self._planted[int(match[1])]
                if where not in shown:
                    yield what

    def _disguised(self, where: str, content: bytes) -> Iterator[str]:
        lowered = content.lower()
        near = b"\n".join(
            content[max(0, at - _AROUND) : at + _AROUND]
            for each in {*disguises(self._mark)}
            for at in _places(each.lower(), lowered)
        )
        if not near:
            return
        known = [
            (what, shown)
            for canary, what, shown in self._planted
            if any(each in near or each in near.lower() for each in disguises(canary))
        ]
        yield from (what for what, shown in known if where not in shown)
        if not known:
            yield PART

    def _tokens(self, content: bytes) -> set[str]:
        runs = b"\n".join([*_LONG.findall(content), *_LONG.findall(content.replace(b"\0", b""))])
        lowered = runs.lower()
        return {
            what
            for token, what in self._issued.items()
            if token.encode() in runs
            or any(each in runs or each in lowered for each in disguises(token))
        }


def _places(wanted: bytes, content: bytes) -> Iterator[int]:
    at = content.find(wanted)
    while at >= 0:
        yield at
        at = content.find(wanted, at + 1)


def disguises(canary: str) -> Iterator[bytes]:
    """In UTF-16, in hex, and in base64 wherever it may begin in a longer text."""
    plain = canary.encode()
    yield canary.encode("utf-16-le")
    yield plain.hex().encode()
    for shift in range(3):
        middle = base64.b64encode(b"\0" * shift + plain)[4:-4]
        yield middle
        yield middle.replace(b"+", b"-").replace(b"/", b"_")
