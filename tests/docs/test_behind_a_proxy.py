"""Behind a proxy that is set up as the page says, Gatebook knows where its clients are."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import warnings
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.pages import DOCS, fences
from tests.docs.proxies import NAME, headers_set, running_nginx, small_proxy
from tests.ports import free_port
from tests.running import Server, running, settings

PAGE = DOCS / "how-to" / "run-behind-a-proxy.md"
(SHOWN,) = (each.text for each in fences(PAGE) if each.language == "nginx")
ISSUER = f"https://{NAME}"
HERE = "127.0.0.9"
"""From where the client of these tests comes; the proxy comes from 127.0.0.1."""
SECRET = "walnut orbit teacup"
FORGED = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http"}


@pytest.fixture
def server(sqlite_url: str) -> Iterator[Server]:
    given = settings(sqlite_url, ISSUER=ISSUER, TRUSTED_PROXIES="127.0.0.1")
    with running(given) as serving:
        yield serving


class Answer(NamedTuple):
    """An answer, read to its end."""

    status: int
    headers: Message
    said: bytes


class Client:
    """Somebody who comes from `HERE`, to a port of this machine."""

    def __init__(self, port: int, certificate: Path | None = None) -> None:
        self._port = port
        self._trusted = ssl.create_default_context(cafile=certificate) if certificate else None

    def connect(self) -> socket.socket:
        """A connection."""
        found = socket.create_connection(("127.0.0.1", self._port), 30, (HERE, 0))
        if self._trusted is None:
            return found
        return self._trusted.wrap_socket(found, server_hostname=NAME)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """An answer, read to its end."""
        connection = http.client.HTTPConnection(NAME)
        connection.sock = self.connect()
        content = None if body is None else json.dumps(body)
        typed = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, content, {**typed, **FORGED, **headers})
        answer = connection.getresponse()
        said = Answer(answer.status, answer.headers, answer.read())
        connection.close()
        return said

    def json(self, method: str, path: str, body: object = None, **headers: str) -> dict:
        """What an answer of success says."""
        answer = self.ask(method, path, body, **headers)
        assert answer.status < 300, answer.said
        return json.loads(answer.said)


def addresses_known(client: Client) -> set[str]:
    """Where Gatebook thinks that the client was when it registered, logged in and refreshed."""
    key = client.json("POST", "/register", {"user_id": "ada", "user_secret": SECRET})["user_key"]
    tokens = client.json("POST", "/authenticate", {"user_key": key, "user_secret": SECRET})
    refresh = {"refresh_token": tokens["refresh_token"]}
    token = client.json("POST", "/refresh", refresh)["access_token"]
    events = client.json("GET", "/me/events", Authorization=f"Bearer {token}")["items"]
    assert len(events) == 4
    return {each["ip"] for each in events}


def test_through_a_proxy_that_sends_these_headers_the_client_is_known(server: Server) -> None:
    """Security rule 6."""
    with small_proxy(server.port, headers_set(SHOWN)) as port:
        assert addresses_known(Client(port)) == {HERE}


def test_without_the_header_every_client_is_the_proxy(server: Server) -> None:
    """The control: it is that header which makes the difference."""
    headers = {**headers_set(SHOWN), "X-Forwarded-For": ""}
    with small_proxy(server.port, headers) as port:
        assert addresses_known(Client(port)) == {"127.0.0.1"}


def test_nobody_else_is_believed(server: Server) -> None:
    """Security rule 6."""
    assert addresses_known(Client(server.port)) == {HERE}


def test_nginx_does_what_the_page_says(server: Server, tmp_path: Path) -> None:
    """Security rule 6."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    plain, secure = free_port(), free_port()
    ports = {"127.0.0.1:8000": server.port, "listen 80": plain, "listen 443": secure}
    with running_nginx(SHOWN, folder, ports):
        client = Client(secure, folder / "certificate.pem")
        assert addresses_known(client) == {HERE}

        answer = client.ask("GET", "/.well-known/oauth-authorization-server")
        assert json.loads(answer.said)["issuer"] == ISSUER
        assert answer.headers["Strict-Transport-Security"]

        moved = Client(plain).ask("GET", "/me?x=1")
        assert (moved.status, moved.headers["Location"]) == (301, f"{ISSUER}/me?x=1")

        with client.connect() as stream:
            asked = f"GET /revocations/stream HTTP/1.1\r\nHost: {NAME}\r\n\r\n"
            stream.sendall(asked.encode())
            said = b""
            while said.count(b"event: head") < 2:  # one by one, as they come
                more = stream.recv(65_536)
                assert more, said
                said += more


def versions_spoken(port: int, certificate: Path) -> set[str | None]:
    """The versions of TLS in which a server speaks with whoever knows but that one."""
    spoken: set[str | None] = set()
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=certificate)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # this side refuses nothing
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", port), 30) as plain:
            try:
                with context.wrap_socket(plain, server_hostname=NAME) as secure:
                    spoken.add(secure.version())
            except (ssl.SSLError, ConnectionResetError):
                continue
    return spoken


@pytest.mark.parametrize(
    ("shown", "spoken"),
    [
        (SHOWN, {"TLSv1.2", "TLSv1.3"}),
        (
            SHOWN.replace(
                "ssl_protocols TLSv1.2",
                "ssl_ciphers ALL:@SECLEVEL=0;\n    ssl_protocols TLSv1.1 TLSv1.2",
            ),
            {"TLSv1.1", "TLSv1.2", "TLSv1.3"},
        ),
    ],
    ids=["as the page says", "the control"],
)
def test_nginx_speaks_no_old_tls(tmp_path: Path, shown: str, spoken: set[str]) -> None:
    plain, secure = free_port(), free_port()
    with running_nginx(shown, tmp_path, {"listen 80": plain, "listen 443": secure}):
        assert versions_spoken(secure, tmp_path / "certificate.pem") == spoken
