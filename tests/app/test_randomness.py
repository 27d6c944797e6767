"""What mustn't be guessed is drawn by `secrets`, and has all the bits that were drawn."""

from __future__ import annotations

import ast
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from app import master_key
from app.argon2id import Argon2id
from app.identifiers import new_log_id, new_request_id, new_session_id, new_user_key
from app.settings import load
from app.tokens.access_token import new_jti
from app.vault import RING_NAMES, Place, Vault, Wrapped, seal
from tests.running import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).parent.parent.parent
PRODUCT: Final = ("app", "domain", "projections")
ELSEWHERE: Final = {"random", "numpy", "uuid1", "uuid4", "urandom", "getrandom", "SystemRandom"}
"""Names of other sources of chance, good ones too: there is to be one."""


class Drawn:
    """Stands for the operating system's chance: counts what is asked for, and says what it gets."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.next = 0

    def __call__(self, size: int) -> bytes:
        self.sizes.append(size)
        return self.next.to_bytes(32, "big")[-size:]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    found = Drawn()
    monkeypatch.setattr(secrets, "token_bytes", found)
    return found


@pytest.mark.parametrize(
    ("new", "bits"),
    [
        (new_session_id, 128),
        (new_log_id, 128),
        (new_request_id, 128),
        (new_jti, 128),
        (new_user_key, 122),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_an_id_has_every_bit_that_is_drawn(drawn: Drawn, new: Callable[[], str], bits: int) -> None:
    """Two to the power of so many ids may come, each as likely as another."""
    none = new()
    assert drawn.sizes == [16]
    changed: set[str] = set()
    for bit in range(128):
        drawn.next = 1 << bit
        changed.add(new())
    assert len(changed - {none}) == bits


def test_keys_are_256_random_bits(drawn: Drawn, tmp_path: Path) -> None:
    drawn.next = 2**255 + 1
    key = drawn.next.to_bytes(32, "big")
    vault = Vault(bytes(range(32)))
    for name in RING_NAMES:
        row = vault.new_ring_key(name)
        assert vault.unwrap_ring_key(name, Wrapped(*row[1:])) == key
    person, wrapped = vault.new_user_key_row("uk_a", 0)
    assert person == vault.unwrap_user_key("uk_a", 0, wrapped) == key
    given = settings(f"sqlite:///{tmp_path}/gatebook.db")
    del given["GATEBOOK_MASTER_KEY"]
    assert master_key.obtain(load(given).settings)[0] == key


def test_salts_and_nonces_are_drawn_and_nothing_else(drawn: Drawn) -> None:
    """128 bits of a salt; 96 of a nonce, which mustn't come twice under one key."""
    drawn.next = 2**127 + 2**95 + 1
    nonce = drawn.next.to_bytes(32, "big")[-12:]
    assert Argon2id().hash("a", 8, 1).salt == drawn.next.to_bytes(16, "big")
    assert Vault(bytes(range(32))).wrap("a label", bytes(32)).blob[1:13] == nonce
    sealed = seal(bytes(32), Place("uk_a", 1, "user.registered", 1, "user_id"), "ada")
    assert sealed.partition(b"\n")[2][:12] == nonce


@pytest.mark.parametrize("folder", PRODUCT)
def test_nothing_but_secrets_is_asked_for_chance(folder: str) -> None:
    """Security rule 22."""
    files = [*(ROOT / folder).rglob("*.py")]
    assert files
    for path in files:
        found = ELSEWHERE & {*named(path)}
        assert not found, f"{path}: {found}"


def named(path: Path) -> Iterator[str]:
    """What a file imports and which attributes it asks for."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                for each in names:
                    yield from each.name.split(".")
            case ast.ImportFrom(module=module, names=names):
                yield from (module or "").split(".")
                yield from (each.name for each in names)
            case ast.Attribute(attr=attr):
                yield attr


@pytest.mark.parametrize(
    "line",
    [
        "import random",
        "from random import choice",
        "import random as chance",
        "import os; os.urandom(16)",
        "from uuid import uuid4",
        "import uuid; uuid.uuid4()",
        "import numpy.random",
        "def f():\n    import random",
    ],
)
def test_other_sources_are_noticed(tmp_path: Path, line: str) -> None:
    path = tmp_path / "source.py"
    path.write_text(line, encoding="utf-8")
    assert ELSEWHERE & {*named(path)}
