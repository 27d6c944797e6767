"""The user_secret: in which form it is hashed, and which new ones are acceptable.

PRECIS OpaqueString (RFC 8265 §4.2). Knows neither hashes nor where the list of common secrets
comes from. No message holds a secret or a part of one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container
from functools import lru_cache
from typing import Final

from precis_i18n import get_profile

from domain import user_id as names
from domain.errors import Fault, InvalidRequest, UnacceptableSecret

MAX_BYTES: Final = 1_024
"""In UTF-8, before and after preparation."""
PRODUCT: Final = "gatebook"

_ASCII: Final = frozenset(map(chr, range(0x20, 0x7F)))
_KINDS: Final = {
    "controls": "a control character",
    "unassigned": "a code point that Unicode has not assigned",
    "other": "a lone surrogate or a private character",
    "precis_ignorable_properties": "an invisible character",
    "zero_width_joiner": "an invisible character",
    "zero_width_nonjoiner": "an invisible character",
}


def prepare(text: str, *, pointer: str = "/user_secret") -> str:
    """The form that is hashed and compared: NFC, other spaces as U+0020, never trimmed or cut.

    Raises `InvalidRequest` for what can't be a secret: nothing at all, over `MAX_BYTES`,
    control characters, NUL, unassigned code points, lone surrogates.
    """
    return _prepare(text, pointer, InvalidRequest)


def check_new(
    text: str,
    *,
    user_id: str,
    min_length: int,
    common: Container[str],
    pointer: str = "/user_secret",
) -> str:
    """The prepared form of a secret that someone wants to have from now on.

    `min_length` is in characters (code points); `common` holds case-folded secrets; `user_id` is
    the name as typed. Raises `UnacceptableSecret` with the reason in its fault when the secret is
    too short, over `MAX_BYTES`, common, or made of the name or the product's; `InvalidRequest`
    when `prepare` would, or when the user_id is not acceptable.
    """
    prepared = _prepare(text, pointer, UnacceptableSecret) if text else ""
    if len(prepared) < min_length:
        why = f"It must have at least {min_length} characters."
        raise _refusal(UnacceptableSecret, pointer, why)
    folded = _fold(prepared)
    if folded == PRODUCT:
        why = "It is the name of this service. Choose another."
        raise _refusal(UnacceptableSecret, pointer, why)
    if folded in _made_of(user_id):
        why = "It is the user_id, its reverse or its double. Choose another."
        raise _refusal(UnacceptableSecret, pointer, why)
    if folded in common:
        why = "It is one of the most used secrets, which are tried first. Choose another."
        raise _refusal(UnacceptableSecret, pointer, why)
    return prepared


def _made_of(user_id: str) -> set[str]:
    """What a guesser tries first for this name: itself, reversed, doubled; case-folded."""
    forms: set[str] = set()
    for name in (user_id, names.prepare(user_id)):
        folded = _fold(name)
        forms |= {folded, _fold(folded[::-1]), _fold(folded + folded)}
    return forms


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold())


def _prepare(text: str, pointer: str, wrong_size: type[InvalidRequest]) -> str:
    if not text:
        raise _refusal(wrong_size, pointer, "It is empty.")
    if _is_too_long(text):
        raise _refusal(wrong_size, pointer, f"It must have at most {MAX_BYTES} bytes.")
    if _ASCII.issuperset(text):
        return text
    # Raised outside of `except`: the library's error holds the secret and must not be its context.
    prepared, kind = _enforce(text)
    if kind:
        raise _refusal(InvalidRequest, pointer, f"It holds {kind}.")
    if _is_too_long(prepared):
        why = f"It must have at most {MAX_BYTES} bytes after Unicode normalisation."
        raise _refusal(wrong_size, pointer, why)
    return prepared


def _enforce(text: str) -> tuple[str, str]:
    """The prepared text, or what kind of character is in the way."""
    try:
        return str(_profile().enforce(text)), ""
    except UnicodeEncodeError as error:
        reason = error.reason.partition("/")[2]
        return "", _KINDS.get(reason, "a character that is not acceptable in a secret")


def _is_too_long(text: str) -> bool:
    return len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES


@lru_cache(maxsize=1)
def _profile():  # type: ignore[no-untyped-def]  # noqa: ANN202 - the library has no types
    return get_profile("OpaqueString")


def _refusal(kind: type[InvalidRequest], pointer: str, why: str) -> InvalidRequest:
    what = pointer.rpartition("/")[2]
    return kind(f"The {what} is not acceptable.", (Fault(pointer, why),))
