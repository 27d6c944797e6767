"""What an answer about a user may be, given how users stood when it was asked for, and stand now.

Whose secret it is, who may do what, whether a change is done, and what may be read of whom.
Knows the rules as they are written, and no code of the product that decides by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.stream import actor_of
from tests.simulation.shown import claims_of
from tests.simulation.users import ADMIN, User, allows
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from collections import Counter

    from tests.simulation.family import Request
    from tests.simulation.process import Answer
    from tests.simulation.witness import Witness


class _Stood(NamedTuple):
    """A user, and when it last changed how it stands."""

    user: User
    changed_at: int

    @property
    def version(self) -> int:
        """Of the secret; that of a user who isn't there yet comes next."""
        return max(1, self.user.secret_version)


class Seen(NamedTuple):
    """How those stood whom a request is about: who asks, whose name it is, who is changed."""

    asking: _Stood
    holder: str
    held: _Stood
    target: _Stood
    lonely: bool
    """Nobody but the target administers."""


class Permitted:
    """Judges what was asked of users; counts what is tried."""

    def __init__(self, witness: Witness, counts: Counter[str]) -> None:
        self._witness = witness
        self._counts = counts
        self._right: dict[tuple[str, str], tuple[int, int]] = {}
        """Of which versions a secret that was right may be: the first and the last."""
        self._names: set[str] = set()

    def arrives(self, request: Request) -> Seen:
        """Note how users stand now, and who asks for which change."""
        if request.change:
            asked = (actor_of(request.user_key), request.change, request.target)
            self._witness.standing.asked.add(asked)
        holder = self._witness.holder(request.name) if request.name else ""
        lonely = bool(request.change) and not self._witness.standing.another_administrator(
            request.target
        )
        return Seen(
            self._stands(request.user_key),
            holder,
            self._stands(holder),
            self._stands(request.target),
            lonely,
        )

    def _stands(self, user_key: str) -> _Stood:
        user = self._witness.users.get(user_key, User())
        return _Stood(user, self._witness.standing.changed_at.get(user_key, 0))

    # Done.

    def granted(self, request: Request, seen: Seen, answer: Answer, where: str) -> None:
        """Raises `Violation`."""
        if request.path == "/register":
            self._registered(request, seen, answer, where)
        elif request.secret:
            self._proved(request, seen, answer, where)
        shut_out = seen.asking.user.status in {"disabled", "erased"}
        with_session = request.family is not None and request.path != "/revoke"
        if shut_out and with_session and self._unchanged(request.user_key, seen.asking):
            raise Violation("let in", f"{where}: {seen.asking.user.status}")
        if request.needs:
            self._allowed(request, seen, where)
        if request.change:
            self._done(request, seen, where)
        if request.needs and answer.status == 200:
            self._shown(request, seen, answer, where)

    def _registered(self, request: Request, seen: Seen, answer: Answer, where: str) -> None:
        self._bind(answer.json["user_key"], request.secret, (1, 1), where)
        if seen.holder and self._witness.users[seen.holder].status != "erased":
            raise Violation("name", f"{where}: it was somebody's")
        self._counts["names had again"] += request.name in self._names
        self._names.add(request.name)

    def _proved(self, request: Request, seen: Seen, answer: Answer, where: str) -> None:
        named = request.path == "/userkey"
        user_key = str(answer.json["user_key"]) if named else request.user_key
        if named and user_key != seen.holder:
            then = _Stood(User(), 0)
        else:
            then = seen.held if named else seen.asking
        now = self._stands(user_key)
        if then.user.status in {"disabled", "erased"} and then.changed_at == now.changed_at:
            raise Violation("let in", f"{where}: {then.user.status}")
        later = int(request.path == "/me/secret")
        self._bind(user_key, request.secret, (then.version, now.version - later), where)
        if later:
            changed = (then.version + 1, now.version)
            self._bind(user_key, request.new_secret, changed, where)

    def _bind(self, user_key: str, secret: str, of: tuple[int, int], where: str) -> None:
        """The secret was that of one of these versions; it is of one alone."""
        first, last = self._right.get((user_key, secret), of)
        narrowed = max(first, of[0]), min(last, of[1])
        if narrowed[0] > narrowed[1]:
            what = f"{where}: of version {first} to {last}, and taken for {of[0]} to {of[1]}"
            raise Violation("another secret", what)
        self._right[user_key, secret] = narrowed

    def _allowed(self, request: Request, seen: Seen, where: str) -> None:
        unchanged = self._unchanged(request.user_key, seen.asking)
        lacking = _lacking(request, seen)
        if unchanged and lacking and self._unchanged(request.target, seen.target):
            raise Violation("permission", f"{where}: without {lacking}")

    def _done(self, request: Request, seen: Seen, where: str) -> None:
        if not self._unchanged(request.target, seen.target):
            return
        user = seen.target.user
        done = {
            "user.disabled": user.status == "disabled",
            "user.enabled": user.status == "active",
            "user.erased": user.status == "erased",
            "user.permissions_set": user.permissions == tuple(sorted(request.gives)),
        }
        if not done.get(request.change):
            raise Violation("lost", f"{where}: {request.change}")

    def _shown(self, request: Request, seen: Seen, answer: Answer, where: str) -> None:
        shown, now = answer.json, self._stands(request.target)
        if shown["user_key"] != request.target:
            raise Violation("readable", f"{where}: somebody else")
        if seen.target.user.status == "erased":
            self._counts["erased users shown"] += 1
            if (shown["user_id"], shown["status"]) != (None, "erased"):
                raise Violation("readable", f"{where}: {shown['status']}, with a name")
        elif self._unchanged(request.target, seen.target):
            told = (shown["user_id"], shown["status"], tuple(shown["permissions"]))
            wanted = (request.name, now.user.status, now.user.permissions)
            if told != wanted:
                raise Violation("view", f"{where}: {told}, not {wanted}")

    def _unchanged(self, user_key: str, stood: _Stood) -> bool:
        return self._stands(user_key).changed_at == stood.changed_at

    # Refused.

    def refused(self, request: Request, seen: Seen, answer: Answer, what: str) -> bool:
        """Whether that was about a user, and right; raises `Violation` when it wasn't right."""
        match answer.status, answer.code:
            case 401, "invalid_credentials":
                wrong = self._is_right(request, seen)
            case 403, "insufficient_permission" if request.needs:
                self._counts["without a permission"] += 1
                wrong = not _lacking(request, seen) and self._stood_still(request, seen)
            case 404, "not_found" if request.change:
                wrong = self._stands(request.target).user.status != "erased"
            case 409, "last_administrator" if request.change:
                another = self._witness.standing.another_administrator(request.target)
                wrong = another and not seen.lonely
            case 409, "user_id_taken":
                wrong = not seen.holder and not self._witness.holder(request.name)
            case _:
                return False
        if wrong:
            raise Violation("logged out" if answer.status == 401 else "refused", what)
        return True

    def _stood_still(self, request: Request, seen: Seen) -> bool:
        still = self._unchanged(request.user_key, seen.asking)
        return still and self._unchanged(request.target, seen.target)

    def _is_right(self, request: Request, seen: Seen) -> bool:
        """Whether the secret that was refused was right all the time, for an active user."""
        named = request.path == "/userkey"
        stood, user_key = (seen.held, seen.holder) if named else (seen.asking, request.user_key)
        versions = self._right.get((user_key, request.secret))
        right = versions == (stood.version, stood.version)
        return right and stood.user.status == "active" and self._unchanged(user_key, stood)


def _lacking(request: Request, seen: Seen) -> str:
    """A permission that who asks would need and lacks, as users stood then."""
    token = str(claims_of(request.bearer)["scope"]).split()
    held = [each for each in {*token, *seen.asking.user.permissions} if allows(token, each)]
    held = [each for each in held if allows(seen.asking.user.permissions, each)]
    needed = [request.needs]
    if request.change and ADMIN in seen.target.user.permissions:
        needed.append(ADMIN)
    needed += [each for each in request.gives if each not in seen.target.user.permissions]
    if seen.asking.user.status != "active":
        return request.needs
    return next((each for each in needed if not allows(held, each)), "")
