"""The user_id: what a person calls itself, and when two are the same name.

PRECIS UsernameCaseMapped (RFC 8265 §3.3). Knows nothing of who has a name.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final, NoReturn

from precis_i18n import get_profile

from domain.errors import Fault, InvalidRequest

MAX_BYTES: Final = 1_024
"""Before preparation."""
MAX_CHARACTERS: Final = 128
"""After preparation."""

_REFUSED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ASCII: Final = frozenset(map(chr, range(0x21, 0x7F)))


def prepare(text: str) -> str:
    """The form in which names are compared; raises `InvalidRequest` with pointer `/user_id`.

    What is shown stays what was typed.
    """
    if len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        _refuse(f"A user_id has at most {MAX_BYTES} bytes.")
    if not text:
        _refuse("A user_id has at least one character.")
    prepared = text.lower() if _ASCII.issuperset(text) else _prepare_unicode(text)
    if len(prepared) > MAX_CHARACTERS:
        _refuse(f"A user_id has at most {MAX_CHARACTERS} characters.")
    return prepared


def _prepare_unicode(text: str) -> str:
    for character in text:
        if unicodedata.category(character) in _REFUSED:
            _refuse(f"A user_id has no character U+{ord(character):04X}.")
    try:
        return str(_profile().enforce(text))
    except UnicodeEncodeError as error:
        if any(map(str.isspace, text)):
            _refuse("A user_id has no spaces: put a dot, a hyphen or an underscore there.")
        kind = error.reason.partition("/")[2]
        use = "Use letters, digits, and signs as . - _ @."
        _refuse(f"This is not acceptable in a user_id ({kind}). {use}")


@lru_cache(maxsize=1)
def _profile():  # type: ignore[no-untyped-def]  # noqa: ANN202 - the library has no types
    return get_profile("UsernameCaseMapped")


def _refuse(why: str) -> NoReturn:
    msg = "The user_id is not acceptable."
    raise InvalidRequest(msg, (Fault("/user_id", why),)) from None
