"""HTTP Basic of OAuth clients: form-encoded as the RFC has it, or as it is (RFC 6749 §2.3.1)."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.http.auth import Connection
from app.http.client import client_of
from tests.http.steps import register

USER_KEY = "uk_0emydfcytg8x0rfmkqdenq97k6"
AWKWARD = "p:a%2F+s s w\u00f6rd \N{HORSE} : 100%"
AMBIGUOUS = "walnut+orbit%41teacup"
"""As it is it looks form-encoded, and means something else then."""
EVERY_BYTE = "".join(f"%{byte:02x}" for byte in b"walnut orbit teacup")


def basic(secret: str, user_key: str = USER_KEY, encoding: str = "utf-8") -> str:
    """What a client sends that joins the id and the secret as it is given them."""
    return f"Basic {base64.b64encode(f'{user_key}:{secret}'.encode(encoding)).decode()}"


def read(secret: str) -> str | None:
    """The secret that the service reads from it."""
    headers = [(b"authorization", basic(secret).encode())]
    connection: Connection = Connection({"type": "http", "headers": headers})  # type: ignore[arg-type]
    client = client_of(connection, {})
    assert client is not None
    assert client.user_key == USER_KEY
    return client.user_secret


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (quote_plus(AWKWARD), AWKWARD),
        (quote(AWKWARD, safe=""), AWKWARD),
        (quote(AWKWARD, safe="!'()*~/"), AWKWARD),
        (quote_plus(AMBIGUOUS), AMBIGUOUS),
        (EVERY_BYTE, "walnut orbit teacup"),
        ("walnut+orbit", "walnut orbit"),
        ("", ""),
    ],
)
def test_what_is_form_encoded_is_decoded(sent: str, meant: str) -> None:
    assert read(sent) == meant


@pytest.mark.parametrize(
    "secret",
    [
        AWKWARD,
        "walnut orbit%20teacup",
        "walnut:orbit+teacup",
        "w\u00e4lnut+orbit%20teacup",
        "walnut+orbit%20teacup\x7f",
        "walnut+orbit%20teacup\n",
        "walnut+orbit+100%",
        "walnut+orbit+100%2",
        "walnut+orbit+%2g",
        "walnut+orbit+%ff",
    ],
)
def test_what_can_t_be_form_encoded_is_taken_as_it_is(secret: str) -> None:
    assert read(secret) == secret


def test_what_could_be_either_is_decoded() -> None:
    assert read(AMBIGUOUS) == "walnut orbitAteacup"


@given(st.text())
def test_a_client_that_encodes_is_always_understood(secret: str) -> None:
    assert read(quote_plus(secret)) == secret


@given(st.text())
def test_a_client_that_does_not_is_understood_unless_it_looks_as_if_it_did(secret: str) -> None:
    assume(not re.search(r"\+|%[0-9A-Fa-f]{2}", secret))
    assert read(secret) == secret


def ask(api, header: str):
    """The answer to a program with this header that wants a token."""
    form = {"grant_type": "client_credentials"}
    return api.post("/oauth/token", data=form, headers={"Authorization": header})


@pytest.mark.parametrize("secret", [AWKWARD, "walnut orbit teacup"])
def test_either_way_gets_a_token(api, secret: str) -> None:
    user_key = register(api, secret=secret)
    for sent in (secret, quote_plus(secret)):
        answer = ask(api, basic(sent, user_key))
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic " + base64.b64encode(USER_KEY.encode()).decode(),
        "Basic dWtfOmE",
        "Basic dWtf$mE=",
        basic("w\u00f6rd", encoding="latin-1"),
        basic("word", encoding="utf-16"),
    ],
)
def test_what_can_t_be_read_is_an_invalid_request(api, header: str) -> None:
    answer = ask(api, header)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_another_scheme_names_no_client_and_is_told_which_one_would(api) -> None:
    """RFC 6749 §5.2: the challenge matches the scheme of the client."""
    answer = ask(api, 'Digest username="ada"')
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"] == 'Basic realm="gatebook", charset="UTF-8"'
