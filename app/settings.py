"""What an operator can set: one table of variables, read once at start into one frozen Struct.

Must not know the store, HTTP or how keys are used, and reads no environment by itself: `load` is
handed one. `gatebook config show` and the reference page are made from the table `SETTINGS`.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from domain.errors import GatebookError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFIX = "GATEBOOK_"
NOT_OURS = ("GATEBOOK_CLIENT_", "GATEBOOK_TEST_")
MASK = "********"
KEY_BYTES = 32
MAKE_A_KEY = "Make one with `openssl rand -base64 32`."

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_HOUR, _DAY = 3_600, 86_400
_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
_HOST_NAME = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z._-]{0,252})")
_NOT_PRINTABLE_ASCII = re.compile(r"[^\x21-\x7e]")
_FILE_LIMIT = 65_536
_AUDIENCE_LIMIT = 1_024
_SQLITE = "sqlite:///"
_POSTGRESQL = "postgresql://"

Value = str | int | bytes | tuple[str, ...] | None


class SettingFault(NamedTuple):
    """One variable that can't be used, and what to do about it; never holds a secret."""

    name: str
    problem: str


class SettingsError(GatebookError):
    """The settings can't be used; every fault is listed, so that one look mends them all."""

    code = "invalid_settings"
    title = "Invalid settings"

    def __init__(self, *faults: SettingFault) -> None:
        super().__init__("\n".join(f"{fault.name} {fault.problem}" for fault in faults))
        self.faults = faults


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, checked. Durations are whole seconds; `repr` shows no secret."""

    database_url: str
    host: str
    port: int
    workers: int
    issuer: str
    audience: str
    access_token_ttl: int
    session_idle: int
    session_max: int
    refresh_rotation: Literal["on-request", "always"]
    refresh_retry_window: int
    refresh_audit: Literal["sparse", "every"]
    signing_algorithm: Literal["ES256", "EdDSA", "RS256"]
    key_max_age: int
    jwks_max_age: int
    master_key: bytes | None
    master_key_previous: bytes | None
    registration: Literal["open", "closed"]
    registrations_per_hour: int
    secret_min_length: int
    hash_memory_kib: int
    hash_time: int
    hash_threads: int
    trusted_proxies: tuple[str, ...]
    cors_origins: tuple[str, ...]
    log_format: Literal["console", "json"]

    @property
    def sqlite_path(self) -> Path | None:
        """The database's file as given (relative to the working directory), None on PostgreSQL."""
        if self.database_url.startswith(_SQLITE):
            return Path(self.database_url.removeprefix(_SQLITE))
        return None

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the service's address."""
        return is_loopback(self.host)

    def masked(self) -> dict[str, str]:
        """Each variable's value as text that `load` would read again, secrets masked."""
        return {setting.name: setting.show(getattr(self, setting.field)) for setting in SETTINGS}

    def __repr__(self) -> str:
        shown = ", ".join(f"{s.field}={s.show(getattr(self, s.field))!r}" for s in SETTINGS)
        return f"Settings({shown})"


class Loaded(NamedTuple):
    """The settings, and for each variable where its value came from.

    A source is `default`, `environment`, `file PATH` or `command line`.
    """

    settings: Settings
    sources: dict[str, str]


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table: a variable, how it is read, and what it means.

    `default` is text as an operator would write it; None where it follows from other values or
    is absent, and then `default_note` says in words what holds.
    """

    name: str
    meaning: str
    parse: Callable[[str], Value]
    default: str | None = None
    default_note: str = ""
    secret: bool = False

    @property
    def field(self) -> str:
        """The member of `Settings` that holds it."""
        return self.name.removeprefix(PREFIX).lower()

    @property
    def file_name(self) -> str:
        """The variable that names a file with the value."""
        return f"{self.name}_FILE"

    def show(self, value: Value) -> str:
        """Return the value as text, masked when secret; empty when there is none."""
        if value is None:
            return ""
        if self.secret:
            return MASK
        if isinstance(value, tuple):
            return ",".join(value)
        return _mask_password(value) if self.name == "GATEBOOK_DATABASE_URL" else str(value)


def load(
    environ: Mapping[str, str],
    overrides: Mapping[str, str] | None = None,
    *,
    cores: int | None = None,
    terminal: bool | None = None,
) -> Loaded:
    """Read the settings; `overrides` (by variable name) come from the command line and win.

    `cores` and `terminal` are what the machine says unless given: how many processors there are,
    and whether log lines go to a person. Raises SettingsError with all faults at once.
    """
    faults = _unknown(environ)
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}
    for setting in SETTINGS:
        try:
            text, source = _find(setting, environ, overrides or {})
            sources[setting.name] = source
            values[setting.field] = None if text is None else _parse(setting, text)
        except ValueError as error:
            faults.append(SettingFault(setting.name, str(error)))
    wrong = {fault.name for fault in faults}
    _complete(
        values,
        cores=cores or os.cpu_count() or 1,
        terminal=sys.stderr.isatty() if terminal is None else terminal,
    )
    faults += [fault for fault in _across(values, wrong) if fault.name not in wrong]
    if faults:
        raise SettingsError(*faults)
    return Loaded(msgspec.convert(values, Settings), sources)


def is_loopback(host: str) -> bool:
    """Whether a listening address is reachable from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_key(text: str) -> bytes:
    """32 bytes from base64, standard or url-safe, padded or not; raises ValueError."""
    try:
        bare = text.strip().translate(str.maketrans("-_", "+/")).rstrip("=")
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        message = f"must be {KEY_BYTES} bytes in base64 (44 characters). {MAKE_A_KEY}"
        raise ValueError(message)
    return key


def _unknown(environ: Mapping[str, str]) -> list[SettingFault]:
    real = [name for setting in SETTINGS for name in (setting.name, setting.file_name)]
    faults = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(NOT_OURS) and name not in real:
            nearest = difflib.get_close_matches(name, real, n=1, cutoff=0.0)[0]
            problem = f"is not a setting. Did you mean {nearest}? Rename or remove it."
            faults.append(SettingFault(name, problem))
    return faults


def _find(
    setting: Setting, environ: Mapping[str, str], overrides: Mapping[str, str]
) -> tuple[str | None, str]:
    path = environ.get(setting.file_name)
    if path is not None and setting.name in environ:
        message = f"and {setting.file_name} are both given. Remove one."
        raise ValueError(message)
    if setting.name in overrides:
        return overrides[setting.name], "command line"
    if setting.name in environ:
        return environ[setting.name], "environment"
    if path is not None:
        return _read(path), f"file {path}"
    return setting.default, "default"


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_FILE_LIMIT + 1)
        if len(content) > _FILE_LIMIT:
            message = f"is longer in {path} than {_FILE_LIMIT} bytes. Name the right file."
            raise ValueError(message)
        return content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        message = f"can't be read from {path!r} ({error.strerror}). Make that file readable."
        raise ValueError(message) from None
    except UnicodeDecodeError:
        message = f"can't be read from {path!r}: it is not UTF-8 text. Name the right file."
        raise ValueError(message) from None


def _parse(setting: Setting, text: str) -> Value:
    if not text.strip() and setting.default != "":
        # An empty value is most often a variable that failed to arrive: it must not pass as unset.
        message = "is empty. Give it a value, or remove it."
        raise ValueError(message)
    return setting.parse(text)


def _complete(values: dict[str, Value], *, cores: int, terminal: bool) -> None:
    """Fill in the defaults that follow from other values or from the machine."""
    host, port = values.get("host"), values.get("port")
    if values.get("issuer", "") is None and isinstance(host, str) and is_loopback(host) and port:
        values["issuer"] = f"http://{f'[{host}]' if ':' in host else host}:{port!s}"
    if values.get("audience", "") is None:
        values["audience"] = values.get("issuer")
    workers = values.get("workers")
    if values.get("hash_threads", "") is None and isinstance(workers, int):
        values["hash_threads"] = max(1, cores // workers)
    if values.get("log_format", "") is None:
        values["log_format"] = "console" if terminal else "json"


def _across(values: Mapping[str, Value], wrong: set[str]) -> list[SettingFault]:
    """Faults that only two values together show."""
    faults = []
    if not wrong & {"GATEBOOK_HOST", "GATEBOOK_PORT"} and values.get("issuer", "") is None:
        faults.append(
            SettingFault(
                "GATEBOOK_ISSUER",
                f"must be set, since {values['host']!s}:{values['port']!s} is not a fixed address "
                "of this machine alone. Set it to the URL that clients use, such as "
                "https://auth.example.org.",
            )
        )
    workers, on_sqlite = values.get("workers"), str(values.get("database_url")).startswith(_SQLITE)
    if isinstance(workers, int) and workers > 1 and on_sqlite:
        faults.append(
            SettingFault(
                "GATEBOOK_WORKERS",
                f"is {workers}, which needs PostgreSQL. Set it to 1, or GATEBOOK_DATABASE_URL to "
                "postgresql://….",
            )
        )
    key, previous = values.get("master_key"), values.get("master_key_previous")
    if previous is not None and (key is None or key == previous):
        faults.append(
            SettingFault(
                "GATEBOOK_MASTER_KEY_PREVIOUS",
                "is another key, for changing the one there is. Set GATEBOOK_MASTER_KEY to a "
                "different one as well, or remove this.",
            )
        )
    age, jwks = values.get("key_max_age"), values.get("jwks_max_age")
    if isinstance(age, int) and isinstance(jwks, int) and age <= 3 * jwks:
        faults.append(
            SettingFault(
                "GATEBOOK_KEY_MAX_AGE",
                f"is {age} s: it must be more than three times GATEBOOK_JWKS_MAX_AGE ({jwks} s), "
                "since a new key is published that long before it signs. Raise it.",
            )
        )
    return faults


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            message = f"is {text!r}. Give a whole number from {least} to {most}."
            raise ValueError(message)
        return int(text)

    return parse


def _duration(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        match = _DURATION.fullmatch(text)
        seconds = int(match[1]) * _UNITS[match[2]] if match else -1
        if not least <= seconds <= most:
            message = (
                f"is {text!r}. Give {least} to {most} seconds, as a number or such as 90s, 15m, "
                "12h, 30d."
            )
            raise ValueError(message)
        return seconds

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            message = f"is {text!r}. Give {' or '.join(choices)}."
            raise ValueError(message)
        return text

    return parse


def _host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if _HOST_NAME.fullmatch(text) and not re.fullmatch(r"[0-9.]+", text):
            return text
    message = f"is {text!r}. Give an IP address or a host name, without scheme or port."
    raise ValueError(message)


def _database_url(text: str) -> str:
    if text.startswith(_POSTGRESQL) and len(text) > len(_POSTGRESQL):
        return text
    path = text.removeprefix(_SQLITE)
    if path not in {text, "", ":memory:"} and not re.search(r"[?#\x00-\x1f]", path):
        return text
    message = (
        f"is {_mask_password(text)!r}. Give sqlite:///FILE (sqlite:////… for an absolute path; "
        "never in memory, and without ? or #) or postgresql://USER:PASSWORD@HOST/NAME."
    )
    raise ValueError(message)


def _mask_password(value: Value) -> str:
    """Hide the password of a database URL, be it among the user's data or the parameters."""
    text = re.sub(r"((?:^|[?&])\w*password=)[^&]*", rf"\1{MASK}", str(value), flags=re.IGNORECASE)
    scheme, mark, rest = text.partition("://")
    authority, question, query = rest.partition("?")
    if "@" not in authority:
        authority, question, query = rest, "", ""
    credentials, at, place = authority.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return f"{scheme}{mark}{user}{colon}{MASK if colon else ''}{at}{place}{question}{query}"


def _issuer(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = (
            parts.scheme in {"http", "https"}
            and parts.hostname
            and parts.port != 0
            and "@" not in parts.netloc
            and not re.search(r"[?#\\]", text)
            and not text.endswith("/")
            and not _NOT_PRINTABLE_ASCII.search(text)
        )
    except ValueError:
        good = False
    if not good:
        message = (
            f"is {text!r}. Give an absolute http or https URL without user, query, fragment or "
            "trailing slash."
        )
        raise ValueError(message)
    return text


def _audience(text: str) -> str:
    if not text.isprintable() or text != text.strip() or len(text) > _AUDIENCE_LIMIT:
        message = "has spaces around it, control characters or over 1,024 characters. Mend it."
        raise ValueError(message)
    return text


def _items(text: str) -> list[str]:
    return list(dict.fromkeys(item for item in re.split(r"[,\s]+", text) if item))


def _networks(text: str) -> tuple[str, ...]:
    networks = []
    for item in _items(text):
        try:
            networks.append(str(ipaddress.ip_network(item)))
        except ValueError as error:
            message = f"holds {item!r} ({error}). Give networks such as 10.0.0.0/8 or ::1."
            raise ValueError(message) from None
    return tuple(networks)


def _origins(text: str) -> tuple[str, ...]:
    for item in _items(text):
        try:
            parts = urlsplit(item)
            exact = f"{parts.scheme}://{parts.netloc}".lower() == item and bool(parts.hostname)
            good = exact and parts.port != 0 and parts.scheme in {"http", "https"}
        except ValueError:
            good = False
        if not good or re.search(r"[@*\\]", item) or _NOT_PRINTABLE_ASCII.search(item):
            message = (
                f"holds {item!r}. Give exact origins in lower case, such as "
                "https://app.example.org, separated by commas, without path or *."
            )
            raise ValueError(message)
    return tuple(_items(text))


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="GATEBOOK_DATABASE_URL",
        parse=_database_url,
        default="sqlite:///gatebook.db",
        meaning="Where the log and the views are stored: a SQLite file or a PostgreSQL database.",
    ),
    Setting(
        name="GATEBOOK_HOST",
        parse=_host,
        default="127.0.0.1",
        meaning="The address to listen on.",
    ),
    Setting(
        name="GATEBOOK_PORT",
        parse=_whole(0, 65_535),
        default="8000",
        meaning="The port to listen on; 0 takes any free one.",
    ),
    Setting(
        name="GATEBOOK_WORKERS",
        parse=_whole(1, 256),
        default="1",
        meaning="How many processes serve; more than one needs PostgreSQL.",
    ),
    Setting(
        name="GATEBOOK_ISSUER",
        parse=_issuer,
        default_note="http://HOST:PORT on a loopback address, else it must be set",
        meaning="The URL by which clients reach the service, `iss` in tokens.",
    ),
    Setting(
        name="GATEBOOK_AUDIENCE",
        parse=_audience,
        default_note="the issuer",
        meaning="For whom access tokens are meant, `aud` in them.",
    ),
    Setting(
        name="GATEBOOK_ACCESS_TOKEN_TTL",
        parse=_duration(1, _HOUR),
        default="3600",
        meaning="How long an access token is good.",
    ),
    Setting(
        name="GATEBOOK_SESSION_IDLE",
        parse=_duration(1, 3_650 * _DAY),
        default="30d",
        meaning="How long a session lives without a recorded use.",
    ),
    Setting(
        name="GATEBOOK_SESSION_MAX",
        parse=_duration(1, 3_650 * _DAY),
        default="365d",
        meaning="How long a session lives at most, however much it is used.",
    ),
    Setting(
        name="GATEBOOK_REFRESH_ROTATION",
        parse=_one_of("on-request", "always"),
        default="on-request",
        meaning="Whether each refresh retires the refresh token, or only one that asks for it.",
    ),
    Setting(
        name="GATEBOOK_REFRESH_RETRY_WINDOW",
        parse=_duration(0, _HOUR),
        default="60",
        meaning="How long a retired refresh token still gets the same successor.",
    ),
    Setting(
        name="GATEBOOK_REFRESH_AUDIT",
        parse=_one_of("sparse", "every"),
        default="sparse",
        meaning="Whether every use of a refresh token is recorded, or only what is new about one.",
    ),
    Setting(
        name="GATEBOOK_SIGNING_ALGORITHM",
        parse=_one_of("ES256", "EdDSA", "RS256"),
        default="ES256",
        meaning="With what new signing keys sign access tokens.",
    ),
    Setting(
        name="GATEBOOK_KEY_MAX_AGE",
        parse=_duration(60, 3_650 * _DAY),
        default="90d",
        meaning="After how long a signing key is replaced.",
    ),
    Setting(
        name="GATEBOOK_JWKS_MAX_AGE",
        parse=_duration(1, _HOUR),
        default="300",
        meaning="How long others may keep the public keys before they ask again.",
    ),
    Setting(
        name="GATEBOOK_MASTER_KEY",
        parse=parse_key,
        default_note="made once and kept beside the database, on a loopback address with SQLite; "
        "else it must be set",
        secret=True,
        meaning="32 bytes, base64: wraps every other key in the store.",
    ),
    Setting(
        name="GATEBOOK_MASTER_KEY_PREVIOUS",
        parse=parse_key,
        default_note="none",
        secret=True,
        meaning="Another key that may be met, while the master key is changed. Wraps nothing.",
    ),
    Setting(
        name="GATEBOOK_REGISTRATION",
        parse=_one_of("open", "closed"),
        default="open",
        meaning="Whether anyone may register, or only administrators make users.",
    ),
    Setting(
        name="GATEBOOK_REGISTRATIONS_PER_HOUR",
        parse=_whole(0, 1_000_000),
        default="1000",
        meaning="How many users one source address may register in an hour; 0 is no limit.",
    ),
    Setting(
        name="GATEBOOK_SECRET_MIN_LENGTH",
        parse=_whole(8, 64),
        default="8",
        meaning="How many characters a new secret must have; 15 where it is the only factor.",
    ),
    Setting(
        name="GATEBOOK_HASH_MEMORY_KIB",
        parse=_whole(8, 1_048_576),
        default="19456",
        meaning="How much memory one Argon2id hash takes, in KiB.",
    ),
    Setting(
        name="GATEBOOK_HASH_TIME",
        parse=_whole(1, 100),
        default="2",
        meaning="How many passes one Argon2id hash makes over its memory.",
    ),
    Setting(
        name="GATEBOOK_HASH_THREADS",
        parse=_whole(1, 256),
        default_note="processor cores divided by workers, at least 1",
        meaning="How many hashes one process computes at the same time.",
    ),
    Setting(
        name="GATEBOOK_TRUSTED_PROXIES",
        parse=_networks,
        default="",
        default_note="none",
        meaning="Networks whose X-Forwarded-For and X-Forwarded-Proto are believed, by commas.",
    ),
    Setting(
        name="GATEBOOK_CORS_ORIGINS",
        parse=_origins,
        default="",
        default_note="none",
        meaning="Web origins whose pages may call the service, exactly, separated by commas.",
    ),
    Setting(
        name="GATEBOOK_LOG_FORMAT",
        parse=_one_of("console", "json"),
        default_note="console on a terminal, else json",
        meaning="How log lines look: for a person, or for a program.",
    ),
)
