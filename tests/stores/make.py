"""A program: writes a small store of each kind, to be kept for ever.

    python -m tests.stores.make tests/stores/vX_Y

Everything that commands can bring about is in it, and what can befall it as a whole: people erased,
before it was restored from a backup, with that and since, and a master key that was changed. What
was true of it is written beside it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import argon2
import msgspec

from app import erasing
from app.caller import system
from app.eventstore.log import read_head, read_range
from app.store import open_store, storage_of
from app.vault import KEY_BYTES, Vault
from app.writer import Wish, Writer
from domain import commands
from domain.aggregate import USER
from domain.policy import Policy
from domain.sealed import Clear
from domain.stream import CLI, Meta, Recorded, actor_of, is_user_stream
from tests.postgres import PostgresServer
from tests.store.chain import verify_chain
from tests.store.wishing import (
    commit,
    end,
    fail,
    log_in,
    permit,
    present,
    register,
    rotate,
    session_id,
    use,
    user_key,
)
from tests.stores.befalling import change_keys, restore_at, rewrap_at

if TYPE_CHECKING:
    from app.store import Store
    from domain.user import User

PEOPLE: Final = {
    "ada": "Ada.Lovelace",
    "ben": "ben@example.org",
    "chloe": "Chloë",
    "darya": "Дарья",
    "emi": "恵美",
    "fa": "\uff26\uff41",
    "grace": "GRACE",
    "hal": "hal-9000",
    "ines": "Inês_d'Almeida",
    "jo": "j",
    "kim": "k" * 128,
    "machine": "batch.jobs",
}
"""Who is in a kept store: by label, what each typed."""
ERASED: Final = {"lou": "Lou", "mo": "mo@example.org", "nia": "Nía", "oz": "oz", "pat": "pat"}
"""Who was: `lou` and `mo` before it was restored, `nia` with that, `oz` and `pat` since."""
RETURNED: Final = {"second lou": "Lou"}
"""Who has a name of theirs now."""

_UNWANTED: Final = ("\\", "SET ", "SELECT pg_catalog.set_config", "--")


class Person(msgspec.Struct, frozen=True):
    """What is true of one user of a kept store."""

    user_key: str
    user_id: str
    user_secret: str
    status: str
    permissions: tuple[str, ...]
    sessions: tuple[str, ...]
    version: int


class Expected(msgspec.Struct, frozen=True):
    """What is true of a kept store; `chain` is the head's, in hexadecimal."""

    log_id: str
    position: int
    chain: str
    topics: dict[str, int]
    snapshots: int
    people: dict[str, Person]
    erased: dict[str, Person] = {}
    formerly: str = ""
    """The log's id before it was restored."""


def secret_of(label: str) -> str:
    """The user_secret of somebody in a kept store."""
    return f"the secret of {label}"


def fill(store: Store) -> None:
    """Bring about everything that commands can, in batches as a service would."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    writer = Writer(store.log, store.vault, store.ring, Policy(session_cap=3))
    admin = actor_of(user_key("ada"))
    commit(
        writer,
        (
            register(each, name, hasher.hash(secret_of(each)))
            for each, name in (PEOPLE | ERASED).items()
        ),
    )
    commit(writer, [_as(CLI, permit("ada", "admin"))])
    commit(
        writer,
        [
            log_in("ada", "ada 1"),
            log_in("ada", "ada 2", "page"),
            log_in("ben", "ben 1"),
            log_in("chloe", "chloe 1"),
            log_in("chloe", "chloe 2"),
            log_in("machine", "machine 1", "client_credentials"),
            _as(admin, permit("ben", "users:read", "users:write", "events:read")),
            _as(admin, permit("emi", "tokens:introspect")),
        ],
    )
    commit(
        writer,
        [
            use("ada", "ada 1"),
            use("ada", "ada 2"),
            use("ada", "ada 2", "elsewhere"),
            use("ben", "ben 1"),
            end("chloe", "chloe 1"),
            _as(admin, end("chloe", "chloe 2", "end_all")),
            _as(admin, end("ben", "ben 1", "admin")),
            fail("darya"),
            _as(admin, permit("emi")),
            _granting("ben", admin),
            _withdrawing("ben", admin),
        ],
    )
    for number in range(40):
        commit(writer, [log_in("machine", f"busy {number}")])
    _fill_sessions(writer, hasher, admin)
    _erase_some(writer, admin, ("lou", "mo"))
    commit(writer, [log_in("nia", "nia 1")])
    asyncio.run(change_keys(store, writer))


def go_on(store: Store) -> None:
    """What happens once it was restored."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    writer = Writer(store.log, store.vault, store.ring, Policy(session_cap=3))
    commit(
        writer,
        [
            *(
                register(each, name, hasher.hash(secret_of(each)))
                for each, name in RETURNED.items()
            ),
            *(log_in(each, f"{each} anew") for each in ("ada", "ben", "second lou")),
            use("ada", "ada anew"),
        ],
    )
    for number in range(40):
        commit(writer, [log_in("machine", f"busy anew {number}")])
    _erase_some(writer, actor_of(user_key("ada")), ("oz", "pat"))
    asyncio.run(change_keys(store, writer))
    erasing.finish(store.storage)


def _erase_some(writer: Writer, admin: str, pair: tuple[str, str]) -> None:
    """One who has sessions and has changed what another may; one who never logged in."""
    busy, idle = pair
    commit(
        writer,
        [
            _as(admin, permit(busy, "users:write")),
            log_in(busy, f"{busy} 1"),
            log_in(busy, f"{busy} 2"),
        ],
    )
    commit(writer, [use(busy, f"{busy} 1"), rotate(busy, f"{busy} 2"), fail(busy)])
    commit(writer, [_as(actor_of(user_key(busy)), permit("emi", "users:write")), permit("emi")])
    own = Wish(commands.EraseOneself(user_key(busy), 1), Meta(actor_of(user_key(busy)), "6" * 32))
    commit(writer, [own])
    commit(writer, [_as(admin, Wish(commands.EraseUser(user_key(idle)), Meta(CLI, "7" * 32)))])


def _fill_sessions(writer: Writer, hasher: argon2.PasswordHasher, admin: str) -> None:
    """What a session and a secret can go through."""
    anew = {each: Clear(hasher.hash(secret_of(each))) for each in PEOPLE}
    commit(
        writer, [log_in(each, f"{each} 1") for each in ("grace", "ines", "jo", "fa", "emi", "hal")]
    )
    commit(
        writer,
        [
            log_in("kim", "kim 1"),
            log_in("kim", "kim 2"),
            rotate("ada", "ada 1", 1),
            present("ada", "ada 1", 1),
            rotate("grace", "grace 1", 1),
            rotate("grace", "grace 1", 2),
            present("grace", "grace 1", 1),
            _as(actor_of(user_key("kim")), _change("kim", anew["kim"], keep="kim 2")),
            _as(admin, Wish(commands.ResetSecret(user_key("fa"), anew["fa"]), Meta(CLI, "0" * 32))),
            _as(admin, Wish(commands.DisableUser(user_key("ines")), Meta(CLI, "1" * 32))),
            _as(admin, Wish(commands.DisableUser(user_key("jo")), Meta(CLI, "2" * 32))),
            _as(admin, Wish(commands.EndSessions(user_key("emi"), "admin"), Meta(CLI, "3" * 32))),
        ],
    )
    commit(writer, [Wish(commands.EnableUser(user_key("jo")), Meta(CLI, "4" * 32))])
    replaced = writer._states[user_key("hal")].secret_hash
    commit(
        writer,
        [Wish(commands.RehashSecret(user_key("hal"), anew["hal"], replaced), system())],
    )


def _change(who: str, secret_hash: Clear, keep: str) -> Wish:
    command = commands.ChangeSecret(user_key(who), secret_hash, 1, session_id(who, keep))
    return Wish(command, Meta(CLI, "5" * 32))


def describe(store: Store, formerly: str) -> Expected:
    """What is true of a store, as the release that wrote it says."""
    with store.storage.snapshot() as rows:
        position = verify_chain(rows, store.ring.log)
        head = read_head(rows)
        history = [each.recorded() for each in read_range(rows, 0, position)]
        snapshots = rows.fetch("SELECT count(*) FROM snapshots")[0][0]
    assert isinstance(snapshots, int)
    return Expected(
        store.log_id,
        position,
        head.chain.hex(),
        dict(sorted(Counter(each.event.name for each in history).items())),
        snapshots,
        _described(history, PEOPLE | RETURNED),
        _described(history, ERASED),
        formerly,
    )


def _described(history: list[Recorded], people: dict[str, str]) -> dict[str, Person]:
    found = {}
    for label, name in people.items():
        user = _folded(history, user_key(label))
        found[label] = Person(
            user_key(label),
            name,
            secret_of(label),
            user.status,
            user.permissions,
            tuple(user.sessions),
            user.version,
        )
    return found


def write(directory: Path, url: str) -> None:
    """Fill a new store at a URL, and keep its master keys and what is true of it."""
    directory.mkdir(parents=True, exist_ok=True)
    first, master = (secrets.token_bytes(KEY_BYTES) for _ in range(2))
    (directory / "former_master_key.txt").write_bytes(base64.b64encode(first) + b"\n")
    (directory / "master_key.txt").write_bytes(base64.b64encode(master) + b"\n")
    with tempfile.TemporaryDirectory() as folder:
        before = open_store(storage_of(f"sqlite:///{folder}/before.db"), Vault(first), "ES256")
        fill(before)
        restore_at(url, before, [user_key("nia")])
        before.storage.close()
    store = open_store(storage_of(url), Vault(first), "ES256")
    go_on(store)
    store.storage.close()
    rewrap_at(url, first, master)
    store = open_store(storage_of(url), Vault(master), "ES256")
    expected = msgspec.json.encode(describe(store, before.log_id))
    (directory / "expected.json").write_bytes(msgspec.json.format(expected, indent=2) + b"\n")
    store.storage.close()


def dump_of(server: PostgresServer, url: str) -> str:
    """A database as plain SQL that any driver loads, of any release of PostgreSQL."""
    done = subprocess.run(
        [
            server._programs() / "pg_dump",
            *("--inserts", "--no-owner", "--no-privileges", "--no-comments", url),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    return "\n".join(each for each in lines if each and not each.startswith(_UNWANTED)) + "\n"


def main(directory: Path) -> None:
    """Write both kinds; refuses to write over a kept one."""
    if directory.exists():
        sys.exit(f"{directory} is there already: a kept store is never made again.")
    file = directory / "sqlite" / "gatebook.db"
    write(file.parent, f"sqlite:///{file}")
    assert not file.with_name("gatebook.db-wal").exists()
    file.with_name("gatebook.db.lock").unlink()
    with PostgresServer() as server:
        url = server.create_database()
        write(directory / "postgresql", url)
        (directory / "postgresql" / "dump.sql").write_text(dump_of(server, url))


def _folded(history: list[Recorded], stream: str) -> User:
    assert is_user_stream(stream)
    return USER.fold(each for each in history if each.stream == stream)


def _as(actor: str, wish: Wish) -> Wish:
    return Wish(wish.command, msgspec.structs.replace(wish.meta, actor=actor))


def _granting(who: str, actor: str) -> Wish:
    command = commands.GrantPermissions(user_key(who), ("keys:read",))
    return Wish(command, Meta(actor, hashlib.sha256(b"grant").hexdigest()[:32]))


def _withdrawing(who: str, actor: str) -> Wish:
    command = commands.WithdrawPermissions(user_key(who), ("users:write",))
    return Wish(command, Meta(actor, hashlib.sha256(b"withdraw").hexdigest()[:32]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
