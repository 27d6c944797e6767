"""What a permission may look like, and what holding one allows."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidRequest
from domain.permission import MAX_PERMISSIONS, common, implies, prepare

permissions = st.from_regex(r"[a-z][a-z0-9_.:-]{0,63}", fullmatch=True)


@pytest.mark.parametrize(
    "permission", ["a", "admin", "users:read", "a1", "a_b.c:d-e", "z" * 64, "a" + "-" * 63]
)
def test_a_permission_is_a_letter_and_up_to_63_more(permission: str) -> None:
    assert prepare([permission]) == (permission,)


@pytest.mark.parametrize(
    "permission",
    [
        *("", "A", "1a", "_a", ":a", "-a", ".a", "aB", "a b", " a", "a ", "a\n", "a/b", "a,b"),
        *("é", "aé", "а", "a\x00", "a" * 65),
    ],
)
def test_anything_else_is_none(permission: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepare(["ok", permission])
    assert [fault.pointer for fault in caught.value.faults] == ["/permissions/1"]


def test_there_are_at_most_64_different_ones() -> None:
    """Security rule 1."""
    most = [f"p{place:02}" for place in range(MAX_PERMISSIONS)]
    assert prepare(most * 2) == tuple(most)
    with pytest.raises(InvalidRequest) as caught:
        prepare([*most, "one-more"])
    assert [fault.pointer for fault in caught.value.faults] == ["/permissions"]


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepare([*(f"p{place:02}" for place in range(MAX_PERMISSIONS)), "NO", "yes"])
    assert [fault.pointer for fault in caught.value.faults] == ["/permissions/64", "/permissions"]


@given(st.lists(permissions, max_size=MAX_PERMISSIONS))
def test_prepared_permissions_are_sorted_and_different(wanted: list[str]) -> None:
    prepared = prepare(wanted)
    assert set(prepared) == set(wanted)
    assert all(one < other for one, other in pairwise(prepared))
    assert prepare(prepared) == prepared


def test_admin_implies_all() -> None:
    assert implies(("admin",), "users:write")
    assert implies(("users:write",), "users:write")
    assert not implies(("users:write",), "users:read")
    assert not implies(("users:write",), "admin")


@pytest.mark.parametrize(
    ("token", "stored", "both"),
    [
        ((), ("admin",), ()),
        (("a", "b"), ("b", "c"), ("b",)),
        (("users:write",), ("admin",), ("users:write",)),
        (("admin",), ("users:read", "a"), ("a", "users:read")),
        (("admin",), ("admin", "a"), ("a", "admin")),
    ],
)
def test_a_token_is_worth_what_both_it_and_its_user_imply(
    token: tuple[str, ...], stored: tuple[str, ...], both: tuple[str, ...]
) -> None:
    assert common(token, stored) == common(stored, token) == both
