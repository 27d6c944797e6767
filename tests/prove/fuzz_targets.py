"""What is fuzzed: a function of bytes for each reader of strangers' words, and what it must do.

Each raises nothing but the refusals that it is documented with, and what it takes it takes in one
way. Knows no fuzzer.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final, NamedTuple

from app.settings import SETTINGS, SettingsError, load
from app.tokens import access_token
from app.tokens.signing import SigningKey
from domain import codec, refresh_token, user_id, user_secret
from domain.catalogue import EVENTS, UnknownEvent
from domain.errors import Damage, InvalidRequest, InvalidToken
from gatebook_client import access_token as clients
from gatebook_client.errors import TokenExpired, TokenRefused
from gatebook_client.keys import read_key
from tests.domain.samples import SAMPLES
from tests.prove.fuzz_planted import read_stepwise
from tests.tokens.forging import AUDIENCE, ISSUED, ISSUER, compact, forge, payload

if TYPE_CHECKING:
    from collections.abc import Callable


_KEY: Final = SigningKey.from_pkcs8(
    "EdDSA", base64.b64decode("MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f")
)
"""Its signatures are always the same, so that a token is accepted in one spelling alone."""
_KEYS: Final = {_KEY.kid: _KEY.verifying_key}
_PUBLIC: Final = read_key(dict(_KEY.public_jwk()))
_GENUINE: Final = forge(_KEY)
_TOPICS: Final = sorted(EVENTS)
_MASTER: Final = base64.b64encode(bytes(range(32))).decode()
_NAMES: Final = [setting.name for setting in SETTINGS]
_REFRESH: Final = refresh_token.format_refresh_token("0aZ3kPq8TnVbXy12LmWdRs", 7, bytes(32))


class Target(NamedTuple):
    """A function of bytes that must return, `seeds` to begin with, modules whose code counts."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    modules: tuple[str, ...]


def _access_token(data: bytes) -> None:
    """As text, or, behind an even first byte, as claims that are signed."""
    if data[:1] and data[0] % 2 == 0:
        token = forge(_KEY, None, data[1:])
    else:
        token = data[1:].decode("latin-1")
    try:
        claims = access_token.genuine(token, _KEYS)
    except InvalidToken:
        pass
    else:
        assert access_token.sign(claims, _KEY) == token
    try:
        form = clients.take_apart(token)
        clients.kid_of(form)
        assert _PUBLIC is not None
        caller = clients.check(
            form, _PUBLIC, issuer=ISSUER, audience=AUDIENCE, now=float(ISSUED), leeway=0.0
        )
    except (TokenRefused, TokenExpired):
        return
    assert caller.user_key
    assert json.loads(form.claims)["iss"] == ISSUER


def _refresh_token(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    token = refresh_token.parse(text)
    if token is not None:
        generation = refresh_token.base62(token.generation, 6)
        assert text[:75] == f"gbr_{token.session_id}{generation}{token.mac}"
        refresh_token.is_genuine(token, bytes(32))


def _codec(data: bytes) -> None:
    """The first byte is the type, the second where the sealed part begins; 255: there is none."""
    if len(data) < 2:
        return
    topic, cut = _TOPICS[data[0] % len(_TOPICS)], data[1]
    clear, sealed = (data[2:], None) if cut == 255 else (data[2 + cut :], data[2 : 2 + cut])
    stored = codec.StoredForm(topic, EVENTS[topic].schema, clear, sealed)
    try:
        found = codec.decode("uk_x", 1, 1, 1, stored)
    except (Damage, UnknownEvent):
        return
    again = codec.encode(found.event, found.meta)
    assert codec.decode("uk_x", 1, 1, 1, again) == found


def _name(data: bytes) -> None:
    text = data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("latin-1")
    try:
        prepared = user_id.prepare(text)
    except InvalidRequest:
        return
    assert 0 < len(prepared) <= user_id.MAX_CHARACTERS
    assert user_id.prepare(prepared) == prepared
    assert prepared.isprintable()


def _secret(data: bytes) -> None:
    text = data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("latin-1")
    try:
        prepared = user_secret.prepare(text)
    except InvalidRequest:
        return
    assert user_secret.prepare(prepared) == prepared
    assert len(prepared.encode()) <= user_secret.MAX_BYTES


def _settings(data: bytes) -> None:
    """Lines, each of a byte that names a variable and its value."""
    environ = {"GATEBOOK_MASTER_KEY": _MASTER}
    for line in data.split(b"\n")[:8]:
        if line:
            environ[_NAMES[line[0] % len(_NAMES)]] = line[1:].decode("utf-8", "replace")
    try:
        settings = load(environ, cores=2, terminal=False).settings
    except SettingsError:
        return
    assert _MASTER not in repr(settings)
    assert 1 <= settings.access_token_ttl <= access_token.MAX_LIFETIME


def _planted(data: bytes) -> None:
    read_stepwise(data)


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _stored() -> tuple[bytes, ...]:
    seeds = []
    for event, meta in SAMPLES:
        stored = codec.encode(event, meta)
        sealed = stored.sealed or b""
        if len(sealed) < 255:
            first = bytes([_TOPICS.index(stored.topic), len(sealed) if sealed else 255])
            seeds.append(first + sealed + stored.clear)
    return tuple(seeds)


TARGETS: Final[dict[str, Target]] = {
    "access token": Target(
        _access_token,
        (b"\1" + _GENUINE.encode(), b"\0" + compact(payload()), b"\1a.b.c", b"\0{}"),
        ("app.tokens.access_token", "app.tokens.base64url", "gatebook_client.access_token"),
    ),
    "refresh token": Target(
        _refresh_token, (_REFRESH.encode(), b"gbr_" + b"0" * 77), ("domain.refresh_token",)
    ),
    "event codec": Target(_codec, _stored(), ("domain.codec", "domain.sealed", "domain.upcasts")),
    "name": Target(
        _name,
        (b"Ada", "\uff21\uff24\uff21".encode(), "a\u0308\u0130\u00df".encode(), b"a b"),
        ("domain.user_id", "precis_i18n"),
    ),
    "secret": Target(
        _secret, (b"a quiet rope", "\u1e9b\u0323 \u3000x".encode()), ("domain.user_secret",)
    ),
    "settings": Target(
        _settings,
        tuple(
            bytes([number]) + each
            for number in range(len(_NAMES))
            for each in (b"1", b"30d", b"https://a.example", b"10.0.0.0/8,::1", b"x")
        ),
        ("app.settings",),
    ),
}
PLANTED: Final = Target(_planted, (b"gbr_0000", b"x"), ("tests.prove.fuzz_planted",))
"""The control: it has a fault that nobody meets by one step."""
