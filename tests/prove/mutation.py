"""A fuzzer in plain Python: what reaches code that nothing reached before is kept, and bred from.

Stands in where atheris isn't to be had, and is quicker to begin. Sees lines by `sys.settrace`, so
it is slow; knows no target.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from types import FrameType

    from tests.prove.fuzz_targets import Target

_ODD: Final = (
    b"\0", b"\xff", b'"', b"\\", b"{", b"[", b".", b"=", b"%", b"\n", b"\xef\xbb\xbf",
    b"\xed\xa0\x80", b"\xcc\x81", b"\xef\xb7\xba", b"\\ud800", b"1e999", b"-1", b"9" * 30,
)  # fmt: skip
_LONGEST: Final = 4_096
_BEGINNING: Final = 32


class Fuzzed(NamedTuple):
    """How often it ran, how much code it reached, and what went wrong, if anything."""

    runs: int
    covered: int
    fault: str = ""


def fuzz(target: Target, runs: int, rng: random.Random) -> Fuzzed:
    """Run so often, or until something goes wrong."""
    reached = _Reached(target.modules)
    kept, ahead = [*target.seeds], deque(target.seeds)
    for number in range(runs):
        # What got farther has its nearest neighbours tried before anything is bred by chance.
        its_turn = number < len(target.seeds) or number % 2
        data = ahead.popleft() if ahead and its_turn else _bred(kept, rng)
        try:
            with reached:
                target.run(data)
        except Exception as error:  # noqa: BLE001 - which is what is looked for
            return Fuzzed(number + 1, len(reached.places), f"{error!r} of {data!r}")
        if reached.anew:
            kept.append(data)
            ahead.extend(_flipped(data))
    return Fuzzed(runs, len(reached.places))


class _Reached:
    """Lines of some modules, each after the line before it."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._modules = modules
        self.places: set[tuple[int, int, int]] = set()
        self._before = 0
        self.anew = False

    def __enter__(self) -> None:
        self._before = len(self.places)
        self._tracing = sys.gettrace()
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._tracing)
        self.anew = len(self.places) > self._before

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith(self._modules):
            return None
        last, code, add = 0, id(frame.f_code), self.places.add

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            if event == "line":
                add((code, last, frame.f_lineno))
                last = frame.f_lineno
            return line

        return line


def _flipped(data: bytes) -> Iterator[bytes]:
    """Each bit of its beginning the other way round."""
    for place in range(8 * min(len(data), _BEGINNING)):
        made = bytearray(data)
        made[place // 8] ^= 1 << place % 8
        yield bytes(made)


def _bred(kept: list[bytes], rng: random.Random) -> bytes:
    data = bytearray(rng.choice(kept))
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if at < len(data):
                data[at] = rng.randrange(256)
            case 1 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                data[at:at] = rng.choice(_ODD)
            case 3:
                del data[at : at + rng.randrange(1, 9)]
            case 4:
                data[at:at] = rng.choice(kept)[: rng.randrange(1, 60)]
            case 5:
                other = rng.choice(kept)
                data = data[:at] + other[rng.randrange(len(other) + 1) :]
            case _:
                data[at:at] = bytes([rng.randrange(256)]) * rng.choice((1, 2, 8, 100))
    return bytes(data[:_LONGEST])
