"""The list of common secrets that ships with the product."""

from __future__ import annotations

from importlib.resources import files

import pytest

from app import blocklist
from domain import user_secret
from domain.errors import UnacceptableSecret


def test_it_holds_10000_secrets_of_8_characters_and_more() -> None:
    """Security rule 11."""
    common = blocklist.load()
    assert len(common) == 10_000
    assert min(map(len, common)) == 8


@pytest.mark.parametrize(
    "secret",
    ["password", "12345678", "987654321", "88888888", "qwertyuiop", "iloveyou", "p@ssw0rd"],
)
def test_it_holds_what_everybody_knows(secret: str) -> None:
    """Security rule 11."""
    assert secret in blocklist.load()


def test_every_entry_is_spelt_as_secrets_are_compared_and_is_refused() -> None:
    """Security rule 11."""
    common = blocklist.load()
    for secret in common:
        assert user_secret.prepare(secret).casefold() == secret
        with pytest.raises(UnacceptableSecret):
            user_secret.check_new(secret.upper(), user_id="ada", min_length=8, common=common)


def test_the_list_is_read_once() -> None:
    assert blocklist.load() is blocklist.load()


def test_a_note_beside_the_list_names_its_sources_and_their_licences() -> None:
    note = files("app").joinpath("data", "README.md").read_text(encoding="utf-8")
    for word in ("Django", "BSD-3-Clause", "zxcvbn-ts", "MIT", "common_secrets.txt.gz"):
        assert word in note
