"""Who a client says it is (RFC 6749 §2.3): HTTP Basic, or members of the form, never both.

Knows no rule: the use cases decide what a secret is worth.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from app.hidden import Hidden
from app.http.auth import Connection, headers
from app.http.form import unescaped
from domain.errors import InvalidRequest

_ENCODED: Final = re.compile(r"(?:[!-$&-9;-~]|%[0-9A-Fa-f]{2})*")
"""Visible ASCII without a colon, and with percent signs only as the escapes of bytes."""
_TWICE: Final = "Authenticate in one way: in the Authorization header or in the body."


class Client(Hidden, frozen=True):
    """A client id, which is a user_key, and the secret that was shown with it, if any."""

    user_key: str
    user_secret: str | None


def client_of(request: Connection, form: Mapping[str, str]) -> Client | None:
    """The client that a request names; None when it names none.

    A Bearer names none, and may stand beside a client id, but not beside a secret. Raises
    `InvalidRequest` for two ways at once, and for what can't be read.
    """
    given = headers(request, b"authorization")
    if len(given) > 1:
        raise InvalidRequest(_TWICE)
    if not given:
        return _of_form(form)
    scheme, _, encoded = given[0].partition(b" ")
    if scheme.lower() == b"basic":
        client = _of_basic(encoded.strip(b" "))
        if "client_secret" in form or form.get("client_id", client.user_key) != client.user_key:
            raise InvalidRequest(_TWICE)
        return client
    if scheme.lower() != b"bearer":
        return None
    # Nothing that a client authenticates with: some libraries send theirs with every request.
    if "client_secret" in form:
        raise InvalidRequest(_TWICE)
    return _of_form(form)


def _of_form(form: Mapping[str, str]) -> Client | None:
    """The id and the secret of `client_secret_post`."""
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if client_id is not None:
        return Client(client_id, secret)
    if secret is not None:
        raise InvalidRequest("There is a client_secret, but no client_id.")
    return None


def _of_basic(encoded: bytes) -> Client:
    """The id and the secret of `client_secret_basic` (RFC 6749 §2.3.1, RFC 7617 §2)."""
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidRequest("The Authorization header can't be read.") from None
    user_key, colon, secret = text.partition(":")
    if not colon:
        raise InvalidRequest("The Authorization header can't be read.")
    return Client(_meant(user_key), _meant(secret))


def _meant(text: str) -> str:
    """The value that a client spells so.

    OAuth has it form-encoded, but many clients send it as it is. What can't be form-encoded text
    is taken as it is; of what can be, nobody knows which, and the RFC decides: it is decoded.
    """
    if not _ENCODED.fullmatch(text):
        return text
    try:
        return unescaped(text)
    except InvalidRequest:  # its bytes are no UTF-8
        return text
