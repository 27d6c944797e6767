"""What an answer may be, given what the log said when its request arrived, and says now.

The promises of `docs/explanation/security-rules.md` about sessions and what is acknowledged.
Knows the rules as they are written, and no code of the product that decides by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from domain.refresh_token import parse
from tests.simulation.clocks import SKEW_S
from tests.simulation.failures import GUESSES, Failures
from tests.simulation.family import DUPLICATE_S, OLD_ACCESS_S
from tests.simulation.permitted import Permitted, Seen
from tests.simulation.shown import claims_of, kid_of
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from collections import Counter

    from domain.policy import Policy
    from tests.simulation.clocks import Clocks
    from tests.simulation.family import Request
    from tests.simulation.process import Answer
    from tests.simulation.witness import Known, Witness

_SECOND: Final = 1_000_000
_EARLY_S: Final = 60.0
"""So long before one of its limits a session may be refused: clocks are allowed to be off."""
_ENDING: Final = frozenset({"user.secret_changed", "user.disabled", "user.erased"})
_RECORDED: Final = 0.9
"""Of the idle limit: the last recorded use may be a tenth of it older than the last one."""


class Arrival(NamedTuple):
    """What was so when a request arrived; `when` is the loop's time."""

    when: float
    over: bool
    outside: bool
    """A retired token that nothing allows any more."""
    fatal: bool
    """One whose being shown ends its session."""
    sessions: frozenset[str]
    """Live ones that it ends."""
    withdrawn: frozenset[str]
    """The kids of keys that were."""
    late: str
    """What was past its time by every clock that a process may have; empty when nothing was."""
    seen: Seen


class Judge:
    """Judges each answer as it leaves a process; counts what is tried."""

    def __init__(
        self, witness: Witness, clocks: Clocks, counts: Counter[str], policy: Policy
    ) -> None:
        self._witness = witness
        self._clocks = clocks
        self._counts = counts
        self._policy = policy
        self._permitted = Permitted(witness, counts)
        self._failures = Failures(witness, clocks.now)
        self._window_s = policy.retry_window / _SECOND
        self._idle_s = policy.session_idle / _SECOND
        self._max_s = policy.session_max / _SECOND

    def arrives(self, request: Request, when: float) -> Arrival:
        """Note what is so now."""
        session = self._session(request)
        outside = fatal = False
        if session is not None and request.path == "/refresh":
            outside, fatal = self._outside(request.generation, session)
        live = self._ended(request)
        over = session is not None and session.ended is not None
        withdrawn = frozenset(self._witness.withdrawn)
        late = self._late(request, session)
        seen = self._permitted.arrives(request)
        return Arrival(when, over, outside, fatal, live, withdrawn, late, seen)

    def _ended(self, request: Request) -> frozenset[str]:
        """The live sessions that are over with it, when it is done."""
        whose = request.user_key if request.path == "/sessions" else request.target
        ends = request.path == "/sessions" or request.change in _ENDING
        if not ends or whose not in self._witness.users:
            return frozenset()
        found = frozenset(self._witness.users[whose].sessions)
        keeps = request.path == "/me/secret" and request.family is not None
        return found - {request.family.session_id} if keeps and request.family else found

    def _late(self, request: Request, session: Known | None) -> str:
        if session is None or request.path == "/revoke":
            return ""
        now = int((self._clocks.store() - SKEW_S) * _SECOND)
        if request.bearer and now >= claims_of(request.bearer)["exp"] * _SECOND:
            self._counts["access tokens shown late"] += 1
            return "the access token had expired"
        if now >= session.ends_at(self._policy.session_idle):
            self._counts["sessions shown late"] += 1
            return "the session was past its limit"
        return ""

    def _session(self, request: Request) -> Known | None:
        family = request.family
        return None if family is None else self._witness.sessions.get(family.session_id)

    def _outside(self, generation: int, session: Known) -> tuple[bool, bool]:
        if generation >= session.generation:
            return False, False
        if generation < session.generation - 1:
            return True, True
        now = max(int(self._clocks.store() * _SECOND), self._witness.time)
        age_s = (now - session.rotated_at) / _SECOND
        used = session.used_generation >= session.generation
        outside = used or age_s >= self._window_s
        return outside, outside and age_s >= DUPLICATE_S

    def answered(self, request: Request, arrival: Arrival, answer: Answer) -> None:
        """Raises `Violation`."""
        self._counts[f"{request.told} {answer.status}"] += 1
        self._failures.answered(request, answer)
        if answer.status >= 500 and answer.status != 503:
            raise Violation("fault", f"{request.told}: {answer.status} {answer.body!r}")
        session = self._session(request)
        if request.family is not None and session is None:
            raise Violation("lost", f"{request.label}'s session is not in the log")
        if answer.status in {200, 201, 202, 204}:
            self._granted(request, arrival, answer, session)
        elif answer.status != 503:
            self._refused(request, arrival, answer, session)

    def _granted(
        self, request: Request, arrival: Arrival, answer: Answer, session: Known | None
    ) -> None:
        where = f"{request.label} {request.told}, generation {request.generation}"
        if request.path != "/revoke" and arrival.over:
            raise Violation("got in again", f"{where}: the session had ended")
        if arrival.late and not self._clocks.moved(arrival.when):
            raise Violation("after its time", f"{where}: {arrival.late}")
        if arrival.outside and not self._clocks.moved(arrival.when):
            raise Violation("got in by reuse", where)
        given = "" if request.bearer else answer.json.get("access_token", "")
        shown = (request.bearer, given)
        if not arrival.withdrawn.isdisjoint(map(kid_of, filter(None, shown))):
            raise Violation("withdrawn key", where)
        self._permitted.granted(request, arrival.seen, answer, where)
        known = self._witness
        if request.path == "/register" and answer.json["user_key"] not in known.users:
            raise Violation("lost", f"{where}: the registration")
        if request.path == "/authenticate":
            begun = known.sessions.get(answer.json["refresh_token"][4:26])
            if begun is None or begun.user_key != request.user_key:
                raise Violation("lost", f"{where}: the session")
        self._whose(request, answer, where)
        if session is not None:
            self._changed(request, answer, session, where)
        if any(self._goes_on(known.sessions[each]) for each in arrival.sessions):
            raise Violation("lost", f"{where}: the end of a session")

    def _whose(self, request: Request, answer: Answer, where: str) -> None:
        """Everybody is told of himself, and is given a token of his own session."""
        given = "" if request.bearer else answer.json.get("access_token", "")
        if given:
            told = claims_of(given)
            family, begun = request.family, answer.json.get("refresh_token", "")[4:26]
            session_id = family.session_id if family else begun
            user_key = self._witness.sessions[session_id].user_key
            right = (told["sub"], told["sid"]) == (user_key, session_id)
        elif (request.method, request.path) == ("GET", "/me"):
            told, user_key = answer.json, request.user_key
            right = told["user_key"] == user_key
        else:
            return
        erased = self._witness.users[user_key].status == "erased"
        if not right or not (erased or self._witness.holder(told["user_id"]) == user_key):
            raise Violation("somebody else's", f"{where}: {told}")

    def _goes_on(self, session: Known) -> bool:
        """Whether it was neither ended nor, by the log's own time, over for good."""
        return session.ended is None and session.expires_at > self._witness.time

    def _changed(self, request: Request, answer: Answer, session: Known, where: str) -> None:
        if request.path == "/revoke" and self._goes_on(session):
            raise Violation("lost", f"{where}: the end of the session")
        if request.path == "/refresh":
            self._refreshed(request, answer, session, where)

    def _refreshed(self, request: Request, answer: Answer, session: Known, where: str) -> None:
        if not request.rotate:
            unused = session.used_generation < request.generation == session.generation
            if unused:
                raise Violation("lost", f"{where}: the first use")
            return
        token = parse(answer.json["refresh_token"])
        family = request.family
        another = family is None or token is None or token.session_id != family.session_id
        if another or token is None or token.generation != request.generation + 1:
            raise Violation("another successor", f"{where}: {token}")
        if session.generation < token.generation:
            raise Violation("lost", f"{where}: the rotation")

    def _refused(
        self, request: Request, arrival: Arrival, answer: Answer, session: Known | None
    ) -> None:
        where = f"{request.label} {request.told}, generation {request.generation}"
        what = f"{where}: {answer.status} {answer.reason}"
        if session is not None and session.ended is None:
            erased = self._witness.users[session.user_key].status == "erased"
            # An erasure tells nothing of sessions that were past their limit before.
            if answer.reason in {"reused", "revoked"} and not (
                erased and not self._goes_on(session)
            ):
                raise Violation("not recorded before", what)
            unmoved = not self._clocks.moved(arrival.when)
            told = answer.reason == "expired" or self._shut_out_since(session)
            if arrival.fatal and unmoved and not told:
                raise Violation("reuse goes on", what)
        if self._permitted.refused(request, arrival.seen, answer, what):
            return
        if request.honest and not self._called_for(request, answer, session):
            raise Violation("logged out", what)

    def _called_for(self, request: Request, answer: Answer, session: Known | None) -> bool:
        """Whether an honest client's refusal follows from something that was done or befell it."""
        if request.path in GUESSES and answer.status == 429:
            return self._failures.may_wait(request)
        family = request.family
        if family is None or session is None:
            return False
        if family.stolen or family.beyond or family.ended_by_owner:
            return True
        if answer.reason == "retired":
            return request.generation < session.generation
        if session.ended == "limit":
            self._counts["told of an end at the cap"] += 1
        if session.ended in {"secret_changed", "disabled", "erased", "limit"}:
            # Somebody has asked for it, or it was the oldest: the witness has seen to that.
            return True
        if answer.reason in {"user_disabled", "revoked"} and self._shut_out_since(session):
            return True
        if session.ended == "reuse":
            # A clock that goes forward shortens the window.
            return self._clocks.forward(session.rotated_when) > 0
        if request.bearer and session.ended is None:
            old = self._clocks.now() - request.access_at >= OLD_ACCESS_S
            old = old or kid_of(request.bearer) in self._witness.withdrawn
            old = old or self._clocks.moved(request.access_at)
            return old or self._limit(family.last_good_at, session)
        return answer.reason == "expired" and self._limit(family.last_good_at, session)

    def _shut_out_since(self, session: Known) -> bool:
        """Whether the user was disabled or erased when the session was past its limit already.

        Nothing is recorded of such a session then, and its owner is told of what befell the user.
        """
        ends_at = session.ends_at(self._policy.session_idle)
        status = self._witness.users[session.user_key].status
        return status in {"disabled", "erased"} and ends_at <= self._witness.time

    def _limit(self, since: float, session: Known) -> bool:
        """Whether one of a session's two limits may be reached, which was last used `since`."""
        age_s = self._clocks.now() - session.began_when
        old = age_s + self._clocks.forward(session.began_when) >= self._max_s - _EARLY_S
        return old or self._idle(since)

    def _idle(self, since: float) -> bool:
        idle_s = self._clocks.now() - since + self._clocks.forward(since)
        return idle_s >= _RECORDED * self._idle_s - _EARLY_S
