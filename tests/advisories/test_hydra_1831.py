"""Hydra #1831: the answer to a refresh is lost on its way, and the client is out for good.

The token that it has was used, the one that replaced it never arrived. Here the retry gives the
same successor, whoever lost the answer: the client, the network, or a server that died.
"""

from __future__ import annotations

import json
import re
import socket

import httpx
import pytest

from tests.advisories.steps import client_of, rotated
from tests.http.steps import authenticate, refresh, register
from tests.running import Server, running, settings

WAIT = 20.0


def lose_answer(server: Server, token: str, *, after: str) -> None:
    """Ask for a rotation, and hang up once it was sent, or once its answer has arrived."""
    body = json.dumps({"refresh_token": token, "rotate": True}).encode()
    head = (
        "POST /refresh HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"User-Agent: lost\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), WAIT) as connection:
        connection.sendall(head.encode() + body)
        if after == "answer":
            assert connection.recv(12, socket.MSG_PEEK | socket.MSG_WAITALL) == b"HTTP/1.1 200"


def refreshes(api: httpx.Client) -> float:
    """How many were answered, whoever heard it."""
    found = re.findall(
        r'^gatebook_requests_total\{.*"/refresh".*\} (.*)$', api.get("/metrics").text, re.MULTILINE
    )
    return sum(map(float, found))


@pytest.mark.parametrize("after", ["request", "answer"])
def test_a_client_that_lost_the_answer_goes_on(database_url, stored, after) -> None:
    with running(settings(database_url)) as server, client_of(server) as api:
        token = authenticate(api, register(api))["refresh_token"]
        for _ in range(3):
            before = refreshes(api)
            lose_answer(server, token, after=after)
            # What came only after its successor was changed too would rightly be reuse.
            while refreshes(api) == before:
                pass
            successor = rotated(api, token)["refresh_token"]
            assert rotated(api, token)["refresh_token"] == successor
            token = successor
        assert refresh(api, token).status_code == 200
    assert stored().count("refresh_token.rotated") == 3
    assert "refresh_token.reuse_detected" not in stored()


def test_a_client_whose_server_died_after_storing_goes_on(database_url, stored) -> None:
    """The window is wide, so that a slow start of the next server doesn't matter."""
    given = settings(database_url, REFRESH_RETRY_WINDOW="1h")
    with running(given) as server, client_of(server) as api:
        old = authenticate(api, register(api))["refresh_token"]
        lose_answer(server, old, after="answer")
    with running(given) as server, client_of(server) as api:
        successor = rotated(api, old)["refresh_token"]
        assert successor != old
        assert refresh(api, successor).status_code == 200
        rotated(api, successor)
    assert stored().count("refresh_token.rotated") == 2
