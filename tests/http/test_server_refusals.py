"""What the service says of what isn't a request, and of whom it believes that he sent one."""

from __future__ import annotations

import re
import socket

import pytest

from tests.http.echo import ISSUER
from tests.http.framing import AMBIGUOUS, GET, LAST, POST
from tests.http.raw import (
    PATIENCE_S,
    Running,
    described,
    headers_of,
    json_of,
    read_all,
)
from tests.running import running, settings

PLACES = {
    "https": {"ISSUER": ISSUER},
    "http behind a proxy": {"ISSUER": "http://127.0.0.1", "TRUSTED_PROXIES": "127.0.0.1"},
}


@pytest.fixture(scope="module", params=PLACES.values(), ids=[*PLACES])
def service(request, tmp_path_factory):
    """The service itself."""
    url = f"sqlite:///{tmp_path_factory.mktemp('refusing')}/gatebook.db"
    with running(settings(url, **request.param)) as started:
        yield started


def ask_service(service, *parts: bytes) -> bytes:
    """Send each part as it is, and read until the service ends the connection."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_S) as client:
        for part in parts:
            client.sendall(part)
        return read_all(client)


def counted(service) -> dict[str, float]:
    """How often what was answered and refused, `/metrics` itself left out."""
    page = ask_service(service, b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    told = re.findall(
        r"^(gatebook_re(?:quests|fusals)_total{.*}) (.*)$", page.decode(), re.MULTILINE
    )
    return {name: float(number) for name, number in told if "/metrics" not in name}


def more_than(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """What was counted since."""
    return {
        name: number - before.get(name, 0)
        for name, number in after.items()
        if number != before.get(name)
    }


def test_a_refusal_has_the_headers_of_every_other_answer(service):
    """Security rule 24."""
    own = {"date", "content-length", "x-request-id", "connection"}
    other = ask_service(service, LAST.replace(b"/echo", b"/nothing"))
    assert other.startswith(b"HTTP/1.1 404 ")
    refused, wanted = (
        {name: value for name, value in headers_of(each).items() if name not in own}
        for each in (ask_service(service, AMBIGUOUS["two lengths"]), other)
    )
    assert refused == wanted
    assert refused["x-content-type-options"] == "nosniff"
    secure = json_of(other)["type"].startswith("https:")
    assert ("strict-transport-security" in refused) == secure


REFUSED = {
    "a head too long": GET + b"X: " + b"x" * 17_000 + b"\r\n\r\n",
    "two lengths": AMBIGUOUS["two lengths"],
    "an unknown method": b"FOO /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_is_counted_among_answers_and_problems(service, request_bytes):
    before = counted(service)
    problem = json_of(ask_service(service, request_bytes))
    described("InvalidRequestProblem").validate(problem)
    assert more_than(before, counted(service)) == {
        'gatebook_requests_total{method="OTHER",route="unmatched",status="400"}': 1,
        'gatebook_refusals_total{code="invalid_request",reason=""}': 1,
    }


def test_a_request_whose_body_breaks_off_is_counted_once(service):
    before = counted(service)
    head = POST.replace(b"/echo", b"/revoke") + b"Content-Type: application/json\r\n"
    got = ask_service(service, head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"zz\r\n")
    described("InvalidRequestProblem").validate(json_of(got))
    assert more_than(before, counted(service)) == {
        'gatebook_requests_total{method="POST",route="/revoke",status="400"}': 1,
        'gatebook_refusals_total{code="invalid_request",reason=""}': 1,
    }


FORWARDED = GET + (
    b"X-Forwarded-For: 203.0.113.9, 198.51.100.7, 10.1.2.3\r\nX-Forwarded-Proto: https\r\n"
    b"Connection: close\r\n\r\n"
)


@pytest.mark.parametrize("proxies", ["", "10.0.0.0/8,192.0.2.0/24"])
def test_forwarded_headers_of_a_stranger_change_nothing(proxies):
    """Security rule 6."""
    variables = {"FORWARDED_ALLOW_IPS": "*"}
    with Running(TRUSTED_PROXIES=proxies, variables=variables) as server:
        told = json_of(server.serving().ask(FORWARDED))
        assert (told["client"], told["scheme"]) == ("127.0.0.1", "http")
        assert server.stop() == 0


def test_a_trusted_proxy_names_the_client_that_it_saw():
    """Security rule 6: what the client itself wrote to the left of that is not believed."""
    with Running(TRUSTED_PROXIES="127.0.0.0/8,10.0.0.0/8") as server:
        told = json_of(server.serving().ask(FORWARDED))
        assert (told["client"], told["scheme"]) == ("198.51.100.7", "https")
        assert server.stop() == 0
