"""Says of a recorded history of requests whether any success began after what had ended it.

A history is who asked what, from when to when, and what came of it, by a clock that all who asked
share (ns). What a request did happened at some moment between; so one thing is surely before
another only when it was answered before the other was begun, and only what is sure is held against
the service. Knows no HTTP.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, Final, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Did = Literal[
    "", "begin", "grant", "end_session", "end_all", "disable", "enable", "erase", "permit", "secret"
]
"""What a success does: nothing but to show that it was allowed; begin `target`; give a token in
`session`, which began with this or with an earlier one; end `target`; end all sessions of `user`
but `target`; disable `user`, which ends them all, or enable it; erase it, for good; let it have
the watched permission or not, as `value` is 1 or 0; give it secret number `value`, which ends all
sessions but `target`."""

_ENDS_ALL: Final = {"end_all", "disable", "erase", "secret"}
_NEVER: Final = 2**63


class Op(msgspec.Struct, frozen=True, array_like=True):
    """A request from `begun` to `answered`, by a token of `session` of the user `holder`.

    `what` is told when it was wrong. `status` is 0 when no answer came. `demands` says that it
    takes the watched permission, `refused` that the token was. `value` of a `begin` or a `grant` is
    the number of the secret that was shown.
    """

    begun: int
    answered: int
    what: str
    status: int
    holder: int = -1
    session: str = ""
    demands: bool = False
    refused: bool = False
    did: Did = ""
    user: int = -1
    target: str = ""
    value: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether it was answered with success."""
        return 200 <= self.status < 300

    @property
    def failed(self) -> bool:
        """Whether it surely did nothing."""
        return 400 <= self.status < 500


class Wrong(msgspec.Struct, frozen=True):
    """A success that couldn't be, or a refusal without a cause; and by how many ms."""

    kind: Literal["ended", "withdrawn", "disabled", "old_secret", "uncalled_for"]
    what: str
    late_ms: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}, {self.late_ms:.2f} ms"


class _Ends:
    """Ends of all sessions of one user, by when they were over."""

    def __init__(self, ops: Iterable[Op]) -> None:
        self._ops = sorted((op for op in ops if not op.failed), key=_over)
        self._over = [_over(op) for op in self._ops]

    def after(self, moment: int) -> list[Op]:
        """Those that may have happened after it, whenever they were begun."""
        return self._ops[bisect_right(self._over, moment) :]


def _over(op: Op) -> int:
    """When a request did what it does at the latest; without a clear answer at any time."""
    return op.answered if op.succeeded else _NEVER


class _Register:
    """What was written to one place, and until when it may be read there.

    At first there is `first`. A write without a clear answer may have happened at any time since.
    """

    def __init__(self, ops: Iterable[Op], first: int) -> None:
        writes = [Op(-2, -1, "at first", 200, value=first), *ops]
        writes = sorted((op for op in writes if not op.failed), key=lambda op: op.begun)
        begun = [op.begun for op in writes]
        # The earliest answer to any success that was begun there or later.
        earliest = [_NEVER] * (len(writes) + 1)
        for index in range(len(writes) - 1, -1, -1):
            op = writes[index]
            answered = op.answered if op.succeeded else _NEVER
            earliest[index] = min(answered, earliest[index + 1])
        self._values: dict[int, tuple[list[int], list[int]]] = {}
        for op in writes:
            over = earliest[bisect_right(begun, op.answered)] if op.succeeded else _NEVER
            since, until = self._values.setdefault(op.value, ([], []))
            since.append(op.begun)
            until.append(max(over, until[-1] if until else 0))

    def late(self, value: int, op: Op) -> int | None:
        """For how many ns, at least, the value was gone when `op` was begun; None: it wasn't."""
        since, until = self._values.get(value, ([], []))
        written = bisect_left(since, op.answered)
        last = until[written - 1] if written else 0
        return op.begun - last if last < op.begun else None


class _Users:
    """What was done to users, by its kind."""

    def __init__(self, history: Iterable[Op]) -> None:
        self.begins: dict[str, Op] = {}
        """Of each session whose tokens anybody has."""
        self.ends: dict[str, list[Op]] = defaultdict(list)
        all_ends: dict[int, list[Op]] = defaultdict(list)
        status: dict[int, list[Op]] = defaultdict(list)
        permits: dict[int, list[Op]] = defaultdict(list)
        secrets: dict[int, list[Op]] = defaultdict(list)
        for op in history:
            if op.did == "begin" and op.succeeded:
                self.begins[op.target] = op
            elif op.did == "grant" and op.succeeded:
                first = self.begins.get(op.session, op)
                self.begins[op.session] = min(first, op, key=lambda each: each.answered)
            elif op.did == "end_session":
                self.ends[op.target].append(op)
            elif op.did in {"enable", "disable", "erase"}:
                enabled = int(op.did == "enable")
                status[op.user].append(msgspec.structs.replace(op, value=enabled))
            elif op.did == "permit":
                permits[op.user].append(op)
            elif op.did == "secret":
                secrets[op.user].append(op)
            if op.did in _ENDS_ALL:
                all_ends[op.user].append(op)
        self.all_ends = {user: _Ends(found) for user, found in all_ends.items()}
        self.enabled = {user: _Register(found, 1) for user, found in status.items()}
        self.permitted = {user: _Register(found, 1) for user, found in permits.items()}
        self.secrets = {user: _Register(found, 0) for user, found in secrets.items()}

    def span(self, session: str) -> tuple[int, int]:
        """When a session was first threatened, and when it was surely over."""
        begin = self.begins[session]
        causes = [*self.ends.get(session, ())]
        if begin.user in self.all_ends:
            later = self.all_ends[begin.user].after(begin.begun)
            causes += [op for op in later if op.target != session]
        # Surely over once an end was answered that was begun when the session was there.
        sure = [op.answered for op in causes if op.succeeded and op.begun > begin.answered]
        threats = [op.begun for op in causes]
        return min(threats, default=_NEVER), min(sure, default=_NEVER)


def check(history: Iterable[Op]) -> Iterator[Wrong]:
    """Everything in a history that can't be.

    At first every user is enabled, has the watched permission and secret number 0.
    """
    ops = list(history)
    users = _Users(ops)
    spans = {session: users.span(session) for session in users.begins}
    for op in ops:
        if op.session in spans:
            yield from _check_session(op, *spans[op.session])
        if op.demands and op.succeeded and op.holder in users.permitted:
            yield from _check(op, users.permitted[op.holder], 1, "withdrawn")
        if op.did in {"begin", "grant"} and op.succeeded:
            if op.user in users.enabled:
                yield from _check(op, users.enabled[op.user], 1, "disabled")
            if op.user in users.secrets:
                yield from _check(op, users.secrets[op.user], op.value, "old_secret")


def _check_session(op: Op, threatened: int, ended: int) -> Iterator[Wrong]:
    if op.succeeded and op.begun > ended:
        yield Wrong("ended", f"{op.what} by {op.session}", (op.begun - ended) / 1e6)
    if op.refused and op.answered < threatened:
        yield Wrong("uncalled_for", f"{op.what} by {op.session}")


def _check(
    op: Op, register: _Register, value: int, kind: Literal["withdrawn", "disabled", "old_secret"]
) -> Iterator[Wrong]:
    late = register.late(value, op)
    if late is not None:
        yield Wrong(kind, op.what, late / 1e6)
