"""What is well with a service and its store, what isn't, and what to do about it.

Looks at settings, at files, and at a snapshot that it is given; the command line and the pages tell
what it finds. Knows neither of them.
"""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from app import audit
from app.audit import Wanted
from app.erasing import left_over
from app.eventstore.log import read_head, read_stream
from app.projection_list import items
from app.readiness import Check
from app.settings import Settings
from app.timestamps import rfc3339
from app.vault import Vault
from app.verifying.findings import Findings
from app.verifying.guards import check_guards
from app.verifying.shape import check_shape
from domain.aggregate import KEYS
from domain.stream import SIGNING_KEYS
from projections.storage import Kind, Rows
from projections.user_directory import ADMINISTRATORS, SOMEBODY

Level = Literal["ok", "warn", "fail"]

LAST_EVENTS: Final = 3
MEND_STORE: Final = (
    "Look at the database's own log, at the disk's free space, and at who may write."
)

_SAFE_SQLITE: Final = (3, 51, 3)
_VERSION: Final = {
    "sqlite": "SELECT sqlite_version()",
    "postgresql": "SELECT current_setting('server_version')",
}
_STANDBY: Final = "SELECT current_setting('synchronous_standby_names')"
_MEND: Final = {
    "store": MEND_STORE,
    "views": "Run: gatebook projections rebuild --all",
    "clock": "Set this machine's clock, or the database's, by NTP.",
}


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; `action` is empty when there is nothing to do."""

    level: Level
    check: str
    detail: str
    action: str = ""


def of_settings(settings: Settings) -> Iterator[Finding]:
    """Where it is reached, and through what."""
    yield Finding("ok", "settings", f"{settings.issuer} on {settings.host}:{settings.port}")
    yield from _address(settings)


def of_checks(checks: Iterable[Check]) -> Iterator[Finding]:
    """What was found of the store at work."""
    for check in checks:
        mend = "" if check.ok else _MEND.get(check.name, "Look at the log of the service.")
        yield Finding("ok" if check.ok else "fail", check.name, check.detail, mend)


def of_rows(
    rows: Rows, kind: Kind, vault: Vault, settings: Settings, now: int
) -> Iterator[Finding]:
    """What a moment of the store shows, its live views under their names; `now` is in µs."""
    yield from _projections(rows, now)
    yield from _guards(rows, kind)
    yield from _durability(rows, kind, settings)
    yield from _signing(rows, settings, now)
    yield _administrators(rows)
    yield _erasures(rows)
    yield from _last_events(rows, vault)


def of_files(database: Path) -> Iterator[Finding]:
    """Whether anybody else can read what is stored; the key's file is refused when so."""
    paths = [database.with_name(database.name + end) for end in ("", "-wal", "-shm")]
    open_ones = [each for each in paths if each.exists() and each.stat().st_mode & 0o077]
    if open_ones:
        mode = stat.S_IMODE(open_ones[0].stat().st_mode)
        yield Finding(
            "warn",
            "files",
            f"others can reach {open_ones[0]} (mode {mode:04o})",
            f"Run: chmod 600 {' '.join(map(str, open_ones))}",
        )
    elif database.exists():
        yield Finding("ok", "files", f"{database} is its owner's alone")


def _address(settings: Settings) -> Iterator[Finding]:
    if settings.issuer.startswith("http:") and not settings.on_loopback:
        yield Finding(
            "warn",
            "address",
            "clients send secrets to an http address in clear",
            "Put TLS before the service, and set GATEBOOK_ISSUER to the https URL.",
        )
    wide = [each for each in settings.trusted_proxies if not ipaddress.ip_network(each).prefixlen]
    if wide:
        yield Finding(
            "warn",
            "proxies",
            f"GATEBOOK_TRUSTED_PROXIES holds {wide[0]}: any client may claim any address",
            "Name the networks of the proxies alone.",
        )
    elif settings.issuer.startswith("https:") and not settings.trusted_proxies:
        yield Finding(
            "warn",
            "proxies",
            "TLS ends before the service, and no proxy is trusted: every client seems to have the "
            "proxy's address, and they share its budget of attempts",
            "Set GATEBOOK_TRUSTED_PROXIES to the network of the proxy.",
        )
    else:
        trusted = ", ".join(settings.trusted_proxies)
        yield Finding("ok", "proxies", f"{trusted} trusted" if trusted else "none, none needed")


def _projections(rows: Rows, now: int) -> Iterator[Finding]:
    """What stopped one, or is rebuilt; inline ones were looked at with the store."""
    for each in items(rows, now):
        if each.rebuild is not None:
            detail = f"{each.name} is being rebuilt, at {each.rebuild.position} of {each.head}"
            yield Finding("ok", "rebuild", detail)
        stalled = each.state == "stalled"
        if stalled and each.mode == "inline":
            yield Finding(
                "fail",
                "projection",
                f"{each.name} is said to have stopped, which it never does",
                f"Find out who changed it, then run: gatebook projections rebuild {each.name}",
            )
        elif each.error is not None:
            what = "stopped" if stalled else "could not be rebuilt"
            yield Finding(
                "fail" if stalled else "warn",
                "projection",
                f"{each.name} {what}: {each.error.type} at {each.error.position}. "
                f"{each.error.detail}",
                "Upgrade to a release that can apply it, then run: gatebook projections retry"
                if stalled
                else f"Find out who changed it, then run: gatebook projections rebuild "
                f"{each.name} --accept",
            )


def _guards(rows: Rows, kind: Kind) -> Iterator[Finding]:
    """Whether the database still refuses to change events, and whatever its tables must."""
    findings = Findings()
    check_guards(rows, kind, findings)
    check_shape(rows, kind, findings)
    for each in findings.told():
        yield Finding(
            "fail",
            "guards",
            f"{each.key}: {each.detail}",
            "Find out who changed it. Back the store up, and restore it into a new database.",
        )
    if not findings.told():
        yield Finding("ok", "guards", "the database refuses to change events")


def _durability(rows: Rows, kind: Kind, settings: Settings) -> Iterator[Finding]:
    """The storage refuses to open when a setting of its own is wrong; this is what is left."""
    version = str(rows.fetch(_VERSION[kind])[0][0])
    standby = str(rows.fetch(_STANDBY)[0][0]) if kind == "postgresql" else ""
    if kind == "sqlite":
        if tuple(int(part) for part in version.split(".")) < _SAFE_SQLITE:
            yield Finding(
                "warn",
                "sqlite",
                f"SQLite {version} can lose changes when a program of another kind writes the "
                "file while Gatebook does (mended in 3.51.3)",
                "Let Gatebook alone write the file: its own processes take turns. Read with "
                "sqlite3 -readonly.",
            )
        else:
            yield Finding("ok", "sqlite", f"SQLite {version}")
        yield Finding("ok", "durability", "WAL, synchronous=FULL")
        return
    several = "," in urlsplit(settings.database_url).netloc
    if several and not standby:
        yield Finding(
            "warn",
            "durability",
            f"PostgreSQL {version}: several hosts, but no synchronous standby: a fail-over can "
            "lose what was answered",
            "Set synchronous_standby_names on the server.",
        )
    else:
        also = f", standby {standby}" if standby else ""
        detail = f"PostgreSQL {version}, fsync and synchronous_commit on{also}"
        yield Finding("ok", "durability", detail)


def _signing(rows: Rows, settings: Settings, now: int) -> Iterator[Finding]:
    keys = KEYS.fold(record.recorded() for record in read_stream(rows, SIGNING_KEYS))
    signer = keys.signer(now)
    if signer is None:
        yield Finding("fail", "signing key", "no key signs", "Restore the store from a backup.")
        return
    detail = f"{signer.algorithm} {signer.kid}, {len(keys.published(now))} published"
    if signer.algorithm != settings.signing_algorithm:
        yield Finding(
            "warn",
            "signing key",
            f"{detail}; GATEBOOK_SIGNING_ALGORITHM is {settings.signing_algorithm}",
            "The setting counts for the next key: set it back, or rotate the keys.",
        )
    else:
        yield Finding("ok", "signing key", detail)


def _administrators(rows: Rows) -> Finding:
    if rows.fetch(ADMINISTRATORS, (1,)):
        return Finding("ok", "administrator", "there is at least one")
    action = "Run: gatebook users grant USER_ID admin"
    if not rows.fetch(SOMEBODY):
        action = f"Run: gatebook users create USER_ID, then {action.partition(' ')[2]}"
    return Finding("warn", "administrator", "nobody holds admin", action)


def _erasures(rows: Rows) -> Finding:
    """Whether bytes of somebody who was erased are left in a file."""
    left = left_over(rows)
    if not left:
        return Finding("ok", "erasures", "all finished")
    since = rfc3339(min(left.values()))
    return Finding(
        "warn",
        "erasures",
        f"unfinished: {len(left)}, since {since}: bytes are left in the write-ahead log",
        "End whatever reads the file for so long. A running service then finishes it by itself; "
        f"without one, run: gatebook users erase {next(iter(left))}",
    )


def _last_events(rows: Rows, vault: Vault) -> Iterator[Finding]:
    head = read_head(rows).position
    found = audit.read_page(rows, vault, Wanted(), max(0, head - LAST_EVENTS), head, LAST_EVENTS)
    for item in found.items:
        detail = f"{item.position} {item.time} {item.type} by {item.actor}"
        yield Finding("ok", "last event", detail)
    if found.failure is not None:
        raise found.failure
