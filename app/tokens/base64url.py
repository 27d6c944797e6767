"""base64url as JOSE writes it: without padding, one text only for any bytes (RFC 7515 §2).

Knows nothing of tokens or keys.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


def encode(data: bytes) -> bytes:
    """Write `data` as unpadded base64url."""
    return b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=")


def decode(text: bytes) -> bytes:
    """Read the one text that `encode` writes.

    Padding, a foreign character, white space and set trailing bits are all refused.

    Raises:
        ValueError: the text is not canonical.
    """
    data = a2b_base64(text.translate(_FROM_URL) + b"==")
    # The reader above is lenient, and every leniency is a second spelling of the same bytes.
    if encode(data) != text:
        message = "not canonical base64url"
        raise ValueError(message)
    return data
