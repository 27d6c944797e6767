"""A planter whose canaries are hostile texts, what it was answered, and what was logged meanwhile.

Knows the form of answers and of log lines, and nothing of what was asked.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from itertools import count as counted
from typing import TYPE_CHECKING, Final

from tests.prove.client import Cut
from tests.prove.flock import Flock
from tests.prove.hostile_texts import FORGED
from tests.prove.planter import Planter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from tests.prove.client import Answer
    from tests.prove.tally import Tally

TOLD: Final = 300
"""Bytes of an answer that is wrong."""
_ID: Final = "x-request-id"
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_RECORD: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [ -~]+")
_LOGGED: Final = re.compile(rb"request_id\W{1,3}([0-9a-f]{32})")
_ANSWERED: Final = re.compile(rb"\b(?:request|refused)\b")


class Hostile(Flock):
    """Says the one text over and over, once there is one; keeps what was answered to it."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.tally: Tally | None = None
        self.asked: set[str] = set()
        """The ids of all requests that were answered."""
        self.registered = 0
        self._people = counted(1)

    def new(self, what: str, shown: Collection[str] = ()) -> str:
        """The text; before there is one, a word that nobody else has."""
        return self.text or super().new(what, shown)

    @contextmanager
    def saying(self, text: str) -> Iterator[None]:
        """In here it is said."""
        self.text = text
        yield
        self.text = ""

    def heard(self, method: str, path: str, answer: Answer) -> None:
        """Look at an answer: no fault, one id, and no markup but the page's own."""
        assert self.tally is not None
        tally, where = self.tally, f"{method} {path} with {self.text[:60]!a}"
        tally.count("requests")
        tally.count(f"answers of {answer.status // 100}xx")
        tally.expect(answer.status < 500, f"{answer.status} to {where}: {answer.body[:TOLD]!r}")
        request_id = answer.headers.get(_ID, "")
        tally.expect(request_id not in self.asked, f"two answers of one id: {where}")
        self.asked.add(request_id)
        self.registered += answer.status == 201 and path.partition("?")[0] in _REGISTERING
        if "<" in self.text and "html" in answer.headers.get("content-type", ""):
            shown = self.text.encode() in answer.body
            tally.expect(not shown, f"markup is shown as it is: {where}")


_REGISTERING: Final = ("/register", "/users")


class Attacker(Planter):
    """Looks at each answer; says hostile things in every header that may hold them."""

    flock: Hostile

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """As always; the connection is closed where the server says so."""
        fit = _CONTROLS.sub("", self.flock.text)[:200]
        told = {
            "user-agent": fit or "attacker",
            "x-forwarded-for": f"{fit}, {self.flock.address()}",
            "cookie": f"gatebook={fit}",
            "origin": f"https://{fit}.example",
            "referer": f"https://{fit}.example/",
        }
        told |= {name.lower(): value for name, value in (headers or {}).items()}
        try:
            answer = await super().send(method, _quoted(path), body, told)
        except Cut:
            assert self.flock.tally is not None
            self.flock.tally.count("connections cut off")
            raise
        self.flock.heard(method, path, answer)
        self.flock.answers.clear()
        self.flock.refusals.clear()
        return answer


def _quoted(path: str) -> str:
    """What can't stand in a request's first line, escaped; all else as it is."""
    return re.sub(
        r"[^!-~]|#", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), path
    )


def check_lines(said: bytes, asked: Collection[str], tally: Tally) -> None:
    """A line is a record, and a record a line: one for each request, and none that was forged."""
    lines = said.split(b"\n")
    tally.expect(lines.pop() == b"", "the last line doesn't end")
    seen: set[str] = set()
    for line in lines:
        tally.expect(_is_record(line), f"a line that is no record: {line[:TOLD]!r}")
        tally.expect(FORGED.encode() not in line, f"a forged line: {line[:TOLD]!r}")
        if (found := _LOGGED.search(line)) and _ANSWERED.search(line):
            request_id = found[1].decode()
            tally.expect(request_id not in seen, f"two lines of one request: {line[:TOLD]!r}")
            seen.add(request_id)
    missing = {*asked} - seen
    tally.expect(not missing, f"{len(missing)} requests without a line: {[*missing][:3]}")
    tally.count("log lines", len(lines))


def _is_record(line: bytes) -> bool:
    if not line.isascii():
        return False
    if line.startswith(b"{"):
        try:
            record = json.loads(line)
        except ValueError:
            return False
        return isinstance(record, dict) and {"time", "event", "level"} <= record.keys()
    return _RECORD.fullmatch(line) is not None
