"""`gatebook doctor`: what is well, what isn't, and what to do about it."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import msgspec
import rich_click as click

from app import audit, logs, master_key
from app.audit import Wanted
from app.cli import failure, output
from app.cli.access import Access, check_release, makes_key, open_with, read_settings
from app.cli.administering import directory_of
from app.cli.holding import holder
from app.cli.pooler import check_pooler
from app.cli.users import PAGE
from app.clock import now
from app.erasing import unfinished
from app.eventstore.log import read_head, read_stream
from app.paging import Part
from app.projection_list import items
from app.readiness import store_checks
from app.settings import SettingsError
from app.timestamps import rfc3339
from app.verifying.findings import Findings
from app.verifying.guards import check_guards
from domain.aggregate import KEYS
from domain.errors import GatebookError
from domain.permission import ADMIN
from domain.stream import SIGNING_KEYS
from projections.storage import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from app.settings import Settings
    from app.store import Store

Level = Literal["ok", "warn", "fail"]

LAST_EVENTS: Final = 3
_SAFE_SQLITE: Final = (3, 51, 3)
_VERSION: Final = {
    "sqlite": "SELECT sqlite_version()",
    "postgresql": "SELECT current_setting('server_version')",
}
_STANDBY: Final = "SELECT current_setting('synchronous_standby_names')"
_MEND: Final = {
    "store": "Look at the database's own log, at the disk's free space, and at who may write.",
    "views": "Run: gatebook projections rebuild --all",
    "clock": "Set this machine's clock, or the database's, by NTP.",
}


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; `action` is empty when there is nothing to do."""

    level: Level
    check: str
    detail: str
    action: str = ""


@click.command("doctor")
@output.json_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Look for what is wrong, and say what to do.

    Looks at the settings, the store, its keys, views and clock, and the last events; writes
    nothing but the time, to see that it can. The exit code is 0 when nothing failed; warnings
    don't count.
    """
    logs.configure("console")
    code = 0
    try:
        for finding in examine():
            _print(finding, as_json=as_json)
            if finding.level == "fail":
                code = code or failure.FAILED
    except (GatebookError, StorageError) as error:
        for finding in _failures(error):
            _print(finding, as_json=as_json)
        code = failure.code_of(error)
    ctx.exit(code)


def examine() -> Iterator[Finding]:
    """Everything there is to look at; raises what keeps it from looking further."""
    settings = read_settings().settings
    check_release(settings)
    yield Finding("ok", "settings", f"{settings.issuer} on {settings.host}:{settings.port}")
    yield from _address(settings)
    path = settings.sqlite_path
    if path is not None:
        yield from _files(settings, path)
        pid = holder(path)
        serving = f"process {pid} serves this store" if pid else "no process serves this store"
        yield Finding("ok", "service", serving)
    check_pooler(settings)
    with open_with(settings, make=False) as store:
        yield Finding("ok", "master key", "opens every key of the store")
        for check in store_checks(store, now()):
            mend = "" if check.ok else _MEND.get(check.name, "Look at the log of the service.")
            yield Finding("ok" if check.ok else "fail", check.name, check.detail, mend)
        yield from _projections(store)
        yield from _guards(store)
        yield from _durability(settings, store)
        yield from _signing(settings, store)
        yield _administrators(settings, store)
        yield _erasures(store)
        yield from _last_events(store)


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


def _files(settings: Settings, database: Path) -> Iterator[Finding]:
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
    if not makes_key(settings):
        master_key.obtain(settings)


def _projections(store: Store) -> Iterator[Finding]:
    """What stopped one, or is rebuilt; inline ones were looked at with the store."""
    with store.storage.snapshot() as rows:
        found = items(rows, now())
    for each in found:
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


def _guards(store: Store) -> Iterator[Finding]:
    """Whether the database still refuses to change events."""
    findings = Findings()
    with store.storage.snapshot() as rows:
        check_guards(rows, store.storage.kind, findings)
    for each in findings.told():
        yield Finding(
            "fail",
            "guards",
            f"{each.key}: {each.detail}",
            "Find out who changed it. Back the store up, and restore it into a new database.",
        )
    if not findings.told():
        yield Finding("ok", "guards", "the database refuses to change events")


def _durability(settings: Settings, store: Store) -> Iterator[Finding]:
    """The storage refuses to open when a setting of its own is wrong; this is what is left."""
    kind = store.storage.kind
    with store.storage.snapshot() as rows:
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


def _signing(settings: Settings, store: Store) -> Iterator[Finding]:
    with store.storage.snapshot() as rows:
        keys = KEYS.fold(record.recorded() for record in read_stream(rows, SIGNING_KEYS))
    moment = now()
    signer = keys.signer(moment)
    if signer is None:
        yield Finding("fail", "signing key", "no key signs", "Restore the store from a backup.")
        return
    detail = f"{signer.algorithm} {signer.kid}, {len(keys.published(moment))} published"
    if signer.algorithm != settings.signing_algorithm:
        yield Finding(
            "warn",
            "signing key",
            f"{detail}; GATEBOOK_SIGNING_ALGORITHM is {settings.signing_algorithm}",
            "The setting counts for the next key: set it back, or rotate the keys.",
        )
    else:
        yield Finding("ok", "signing key", detail)


def _administrators(settings: Settings, store: Store) -> Finding:
    directory, after, count = directory_of(Access(settings, store)), None, 0
    while True:
        with store.snapshot() as rows:
            page = directory.page(rows, Part(PAGE, after), now())
        for item in page.items:
            count += item.status != "erased"
            if item.status == "active" and ADMIN in item.permissions:
                return Finding("ok", "administrator", "there is at least one")
        if page.next is None:
            break
        after = page.next
    action = "Run: gatebook users grant USER_ID admin"
    if not count:
        action = f"Run: gatebook users create USER_ID, then {action.partition(' ')[2]}"
    return Finding("warn", "administrator", "nobody holds admin", action)


def _erasures(store: Store) -> Finding:
    """Whether bytes of somebody who was erased are left in a file."""
    left = unfinished(store.storage)
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


def _last_events(store: Store) -> Iterator[Finding]:
    with store.storage.snapshot() as rows:
        head = read_head(rows).position
        found = audit.read_page(
            rows, store.vault, Wanted(), max(0, head - LAST_EVENTS), head, LAST_EVENTS
        )
    for item in found.items:
        detail = f"{item.position} {item.time} {item.type} by {item.actor}"
        yield Finding("ok", "last event", detail)
    if found.failure is not None:
        raise found.failure


def _failures(error: GatebookError | StorageError) -> list[Finding]:
    if isinstance(error, SettingsError):
        return [
            Finding("fail", "settings", f"{fault.name} {fault.problem}") for fault in error.faults
        ]
    detail, _, action = (failure.describe(error) or "").partition("\n")
    if isinstance(error, StorageError):
        # What other commands say then is to run this one.
        action = _MEND["store"]
    return [Finding("fail", "store", detail, action)]


def _print(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        output.json_lines([finding])
        return
    lines = [output.columns((finding.level, 4), (finding.check, 13), (finding.detail, 0))]
    if finding.action:
        lines.append(f"{'':21}{output.shown(finding.action)}")
    output.data(lines)
