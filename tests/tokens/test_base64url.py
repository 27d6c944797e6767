"""base64url has one spelling for any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tokens import base64url


@given(st.binary(max_size=200))
def test_what_is_written_is_read_back(data: bytes) -> None:
    assert base64url.decode(base64url.encode(data)) == data


def test_it_is_the_text_of_rfc_7515_appendix_c() -> None:
    assert base64url.encode(bytes([3, 236, 255, 224, 193])) == b"A-z_4ME"


@given(st.binary(max_size=12))
def test_a_text_that_is_read_is_the_one_that_would_be_written(text: bytes) -> None:
    try:
        data = base64url.decode(text)
    except ValueError:
        return
    assert base64url.encode(data) == text


@pytest.mark.parametrize(
    "text",
    [
        b"QQ==",
        b"QQ=",
        b"QUI=",
        b"QR",  # as QQ, with trailing bits set
        b"QUJ",  # as QUI, with trailing bits set
        b"Q",
        b"QUJDR",
        b"=",
        b"+w",
        b"/w",
        b"QQ\n",
        b" QQ",
        b"Q Q",
        b"Q.Q",
        b"QQ\x00",
        b"Q\xc3\x84",
        b"QUJD====",
    ],
)
def test_any_other_text_is_refused(text: bytes) -> None:
    """Security rule 13."""
    with pytest.raises(ValueError, match=r"canonical|base64|padding|characters"):
        base64url.decode(text)
