"""argon2id in huge pages that are kept: hashes are made and compared a tenth faster.

Knows nothing of pools and users, nor of which parameters are good. A secret comes prepared
(`domain.user_secret`). Any thread may call; each has memory of its own.
"""

from __future__ import annotations

import contextlib
import hmac
import mmap
import re
import secrets
import sys
import threading
from base64 import b64decode, b64encode
from typing import Final, NamedTuple

from argon2.exceptions import HashingError
from argon2.low_level import ARGON2_VERSION, Type, core, error_to_str, ffi

from app.hidden import Hidden
from domain.errors import Damage, Overloaded

_SALT_BYTES: Final = 16
_DIGEST_BYTES: Final = 32
_OK: Final = 0  # ARGON2_OK in argon2.h
_OUT_OF_MEMORY: Final = -22  # ARGON2_MEMORY_ALLOCATION_ERROR
_HUGE_PAGE: Final = 2**21
"""Bytes of one, where the others have 4 KiB."""
_FORM: Final = re.compile(
    rf"\$argon2id\$v={ARGON2_VERSION}\$m=([1-9][0-9]{{0,9}}),t=([1-9][0-9]{{0,9}}),p=1"
    r"\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})"
)


class Parameters(NamedTuple):
    """What a hash costs: RFC 9106's m, in KiB, and t (§3.1)."""

    memory_kib: int
    time_cost: int


class Hash(Hidden, frozen=True):
    """What is stored of a secret; `memory_kib` and `time_cost` are RFC 9106's m and t (§3.1)."""

    memory_kib: int
    time_cost: int
    salt: bytes
    digest: bytes

    @property
    def parameters(self) -> Parameters:
        """What it cost, and what comparing costs."""
        return Parameters(self.memory_kib, self.time_cost)

    @property
    def encoded(self) -> str:
        """`$argon2id$v=19$m=…,t=…,p=1$salt$digest`, both in base64 without padding."""
        salt, digest = (b64encode(each).decode().rstrip("=") for each in (self.salt, self.digest))
        parameters = f"m={self.memory_kib},t={self.time_cost},p=1"
        return f"$argon2id$v={ARGON2_VERSION}${parameters}${salt}${digest}"


def parse(stored: str) -> Hash:
    """Read an encoded hash; raises `Damage` for what is never made here."""
    if found := _FORM.fullmatch(stored):
        memory, time, salt, digest = found.groups()
        read = Hash(int(memory), int(time), b64decode(salt + "=="), b64decode(digest + "="))
        # The last letter of base64 has bits that mean nothing: one spelling only is ours.
        if read.encoded == stored:
            return read
    raise _malformed()


def of_nothing(memory_kib: int, time_cost: int) -> Hash:
    """A hash that no secret is known for; spells parameters without spending one."""
    salt, digest = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_DIGEST_BYTES)
    return Hash(memory_kib, time_cost, salt, digest)


class Argon2id(threading.local):
    """argon2id (RFC 9106) with p = 1. Both methods raise `Overloaded` when memory is short.

    What a thread keeps is as large as its largest hash, until the thread ends. libargon2
    overwrites it with zeros at the end of each.
    """

    def __init__(self) -> None:
        self._area: _Area | None = None

    def hash(self, secret: str, memory_kib: int, time_cost: int) -> Hash:
        """A new hash, with a random salt."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return Hash(memory_kib, time_cost, salt, self._digest(secret, salt, memory_kib, time_cost))

    def verify(self, stored: Hash, secret: str) -> bool:
        """Whether it is the secret's, compared in constant time.

        Raises `Damage` when it has parameters that argon2 doesn't take.
        """
        try:
            digest = self._digest(secret, stored.salt, stored.memory_kib, stored.time_cost)
        except (HashingError, OverflowError):
            raise _malformed() from None
        return hmac.compare_digest(digest, stored.digest)

    def _digest(self, secret: str, salt: bytes, memory_kib: int, time_cost: int) -> bytes:
        area = self._area_of(memory_kib * 1024)
        digest = ffi.new("uint8_t[]", _DIGEST_BYTES)
        data = secret.encode()
        # What isn't named is zero: no key, no associated data, no flags, as in argon2_hash.
        context = {
            "version": ARGON2_VERSION,
            "out": digest,
            "outlen": _DIGEST_BYTES,
            "pwd": ffi.from_buffer("uint8_t[]", data),
            "pwdlen": len(data),
            "salt": ffi.from_buffer("uint8_t[]", salt),
            "saltlen": len(salt),
            "t_cost": time_cost,
            "m_cost": memory_kib,
            "lanes": 1,
            "threads": 1,
            "allocate_cbk": area.allocate if area else ffi.NULL,
            "free_cbk": area.free if area else ffi.NULL,
        }
        code = core(ffi.new("argon2_context *", context), Type.ID.value)
        if code == _OUT_OF_MEMORY:
            raise Overloaded
        if code != _OK:
            raise HashingError(error_to_str(code))
        return bytes(ffi.buffer(digest))

    def _area_of(self, size: int) -> _Area | None:
        """None where there can't be one: libargon2 sees to its memory itself then."""
        if self._area is None or self._area.size < size:
            self._area = None  # given back before a larger one is asked for
            with contextlib.suppress(OSError, MemoryError):
                self._area = _Area(size)
        return self._area


class _Area:
    """Memory that libargon2 is lent for hash after hash, in huge pages where Linux has them.

    Raises OSError when there isn't so much, and MemoryError where a system forbids callbacks.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        pages = -(-size // _HUGE_PAGE) + 1  # one more, to start where a page does
        self.memory = mmap.mmap(-1, pages * _HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # a kernel without them
                self.memory.madvise(mmap.MADV_HUGEPAGE)
        start = ffi.cast("uint8_t *", ffi.from_buffer(self.memory))
        start += -int(ffi.cast("uintptr_t", start)) % _HUGE_PAGE
        lent = ffi.new("uint8_t *[1]", [start])

        def allocate(place: object, wanted: int) -> int:
            if wanted <= size:
                ffi.memmove(place, lent, ffi.sizeof(lent))
            return _OK  # which libargon2 doesn't look at, but at the place

        self.allocate = ffi.callback("int(uint8_t **, size_t)", allocate)
        self.free = ffi.callback("void(uint8_t *, size_t)", lambda _memory, _size: None)


def _malformed() -> Damage:
    return Damage("A stored secret hash can't be read. Run `gatebook audit verify`.")
