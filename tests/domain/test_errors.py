"""The tree of refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

import pytest

from domain import errors
from domain.errors import GatebookError

CODES = {
    "invalid_request",
    "unacceptable_secret",
    "invalid_credentials",
    "invalid_token",
    "insufficient_permission",
    "registration_closed",
    "not_found",
    "method_not_allowed",
    "too_large",
    "unsupported_media_type",
    "user_id_taken",
    "last_administrator",
    "log_changed",
    "rebuild_running",
    "too_many_attempts",
    "overloaded",
    "unavailable",
    "internal_error",
}
"""What clients may rely on: a code never changes."""
REASONS = get_args(errors.TokenRefusal)


def below(cls: type[GatebookError], indent: str = "") -> Iterator[tuple[str, type[GatebookError]]]:
    """Each class under `cls` in the order of the source, with its branch drawn before it."""
    own = [sub for sub in cls.__subclasses__() if sub.__module__ == errors.__name__]
    for sub in own:
        last = sub is own[-1]
        yield f"{indent}{'└──' if last else '├──'} {sub.__name__}", sub
        yield from below(sub, indent + ("    " if last else "│   "))


TREE = list(below(GatebookError))
CLASSES = [cls for _, cls in TREE]
LEAVES = [cls for cls in CLASSES if not list(below(cls))]


def test_the_docstring_draws_the_whole_tree_with_its_codes() -> None:
    drawn = [f"{branch:<35}{cls.code}" for branch, cls in TREE]
    assert errors.__doc__ is not None
    _, _, picture = errors.__doc__.partition("::\n\n")
    found = [line[4:] for line in picture.rstrip().splitlines()]
    assert found == ["GatebookError", *drawn]


def test_every_leaf_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in LEAVES]
    assert len(codes) == len(set(codes))


def test_only_a_relative_shares_a_code() -> None:
    for one in CLASSES:
        for other in CLASSES:
            if one.code == other.code and one.code != GatebookError.code:
                assert one is other


def test_every_code_that_clients_may_see_is_there() -> None:
    assert {cls.code for cls in CLASSES} == CODES
    assert {cls.code for cls in LEAVES} | {"invalid_request"} == CODES


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_code_is_spelt_like_its_class_and_has_a_title(cls: type[GatebookError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", cls.code)
    assert cls.title
    if cls.code != GatebookError.code:
        assert cls.code == re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
        assert cls.title.replace(" ", "_").lower() == cls.code


def test_a_refusal_says_what_happened_or_at_least_its_title() -> None:
    assert errors.NotFound("There is no such user.").detail == "There is no such user."
    assert errors.NotFound().detail == "Not found"
    assert str(errors.NotFound("a")) == "a"


def test_a_refusal_carries_what_its_answer_needs() -> None:
    fault = errors.Fault("/user_id", "why")
    assert errors.InvalidRequest("a", (fault,)).faults == (fault,)
    assert errors.InvalidRequest().faults == ()
    assert errors.UnacceptableSecret("a", (fault,)).faults == (fault,)
    assert errors.InvalidToken().reason is None
    assert errors.InvalidToken().shown
    assert errors.InvalidToken(reason="reused").reason == "reused"
    assert errors.InsufficientPermission("users:read").permission == "users:read"
    assert "users:read" in errors.InsufficientPermission("users:read").detail
    assert errors.TooManyAttempts(17).retry_after == 17
    assert "17 seconds" in errors.TooManyAttempts(17).detail
    assert errors.Overloaded(3).retry_after == 3
    assert errors.Unavailable().retry_after == 1


def test_a_refused_token_says_what_to_do_for_its_reason() -> None:
    details = {reason: errors.InvalidToken(reason=reason).detail for reason in (*REASONS, None)}
    assert len(set(details.values())) == len(details)
    advice = {reason: "Authenticate" in detail for reason, detail in details.items()}
    assert [each for each in advice if not advice[each]] == ["reused", "retired", "user_disabled"]
    assert "authenticate" in details["reused"]
    assert "newer one, which still works" in details["retired"]
    assert "Ask an administrator" in details["user_disabled"]
    assert errors.InvalidToken("Say this.", reason="revoked").detail == "Say this."


def test_wrong_user_and_wrong_secret_read_the_same() -> None:
    """Security rule 9."""
    assert errors.InvalidCredentials().detail == "The user or the secret is not right."
