"""What the service's own log says of refusals: which request, of whom, and how it was answered."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx

from tests.http.people import WAIT, People
from tests.http.steps import SECRET, problem
from tests.running import running, settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Server

NOBODY = "uk_00000000000000000000000000"
GUESSES = 1_000
"""More than anybody has."""
ODD = "ad\N{LATIN SMALL LETTER A WITH DIAERESIS}quate"
"""A name that the server with `UNFORESEEN` stumbles over."""


def lines(server: Server) -> list[dict[str, Any]]:
    """All that a server has said, once it has stopped."""
    server.stop()
    return [json.loads(each) for each in server.said.splitlines() if each.startswith(b"{")]


def test_every_refusal_is_a_line_with_its_status_and_the_caller(tmp_path: Path) -> None:
    """Who is known is named: of a wrong secret, and of what a token doesn't prove, nobody is."""
    given = settings(f"sqlite:///{tmp_path}/gatebook.db", LOG_FORMAT="json")
    with running(given) as server:
        here = f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=here, timeout=WAIT) as client:
            ada = People(client, given).new()
            wrong = {"user_key": ada.user_key, "user_secret": "a loud rope of eight"}
            forged = ada.access[:-4] + "AAAA"
            answers = [
                ada.get("/users"),
                client.post("/authenticate", json=wrong),
                client.get("/me", headers={"Authorization": f"Bearer {forged}"}),
                client.post("/register", json={"user_id": "ada", "permissions": ["admin"]}),
                client.post("/oauth/token", data=_client(ada.user_key, "a loud rope of eight")),
                client.post("/oauth/token", data=_client(ada.user_key, SECRET)),
            ]
        said = lines(server)
    of_requests = {each.get("request_id"): each for each in said if each["event"] == "request"}
    found = [of_requests[each.headers["x-request-id"]] for each in answers]
    assert [(each["route"], each["status"], each["user_key"]) for each in found] == [
        ("/users", 403, ada.user_key),
        ("/authenticate", 401, None),
        ("/me", 401, None),
        ("/register", 400, None),
        ("/oauth/token", 401, None),
        ("/oauth/token", 200, ada.user_key),
    ]


def _client(user_key: str, secret: str) -> dict[str, str]:
    named = {"client_id": user_key, "client_secret": secret}
    return {"grant_type": "client_credentials", **named}


def test_a_spent_budget_is_a_line_and_counted(tmp_path: Path) -> None:
    """What tries to get round a budget is seen by whoever watches."""
    given = settings(f"sqlite:///{tmp_path}/gatebook.db", LOG_FORMAT="json")
    with running(given) as server:
        here = f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=here, timeout=WAIT) as client:
            wrong = {"user_key": NOBODY, "user_secret": "a loud rope of eight"}
            for _ in range(GUESSES):
                answer = client.post("/authenticate", json=wrong)
                if answer.status_code == 429:
                    break
            counted = client.get("/metrics").text
        said = lines(server)
    (line,) = (each for each in said if each.get("request_id") == answer.headers["x-request-id"])
    assert (line["route"], line["status"]) == ("/authenticate", 429)
    of_it = r'^gatebook_refusals_total{code="too_many_attempts".*} (.*)$'
    refused = re.search(of_it, counted, re.MULTILINE)
    assert refused
    assert float(refused[1]) == 1


def test_an_event_and_the_line_of_its_request_are_found_by_one_id(tmp_path: Path) -> None:
    given = settings(f"sqlite:///{tmp_path}/gatebook.db", LOG_FORMAT="json")
    with running(given) as server:
        here = f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=here, timeout=WAIT) as client:
            people = People(client, given)
            ada = people.new()
            named = {"user_key": ada.user_key, "user_secret": SECRET}
            login = client.post("/authenticate", json=named)
            change = {"user_secret": SECRET, "new_user_secret": "seven ropes, all quiet"}
            changed = ada.post("/me/secret", change)
        history = ada.history()
        said = lines(server)
    assert (login.status_code, changed.status_code) == (200, 204)
    of_requests = {each["request_id"]: each for each in said if each["event"] == "request"}
    assert len(of_requests) == 4
    for answer, kind, route in (
        (login, "user.logged_in", "/authenticate"),
        (changed, "user.secret_changed", "/me/secret"),
    ):
        request_id = answer.headers["x-request-id"]
        assert kind in {each.type for each in history if each.request_id == request_id}
        line = of_requests[request_id]
        assert (line["route"], line["user_key"]) == (route, ada.user_key)


def test_a_fault_that_nobody_foresaw_is_a_line_with_its_traceback(tmp_path: Path) -> None:
    """Security rule 19: under the id that the answer has, which tells nothing of it."""
    given = settings(f"sqlite:///{tmp_path}/gatebook.db", LOG_FORMAT="json", TEST_UNFORESEEN="1")
    asked = {"user_id": ODD, "user_secret": SECRET}
    with running(given) as server:
        here = f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=here, timeout=WAIT) as client:
            answer = client.post("/userkey", json=asked)
            told = problem(answer, 500, "internal_error")
        said = lines(server)
    request_id = answer.headers["x-request-id"]
    assert told["request_id"] == request_id
    fault, request = [each for each in said if each.get("request_id") == request_id]
    assert (fault["event"], fault["level"]) == ("internal_error", "error")
    assert fault["exception"].startswith("Traceback (most recent call last):\n")
    assert "in stumbling\n" in fault["exception"]
    assert "\nUnicodeEncodeError: " in fault["exception"]
    assert (request["event"], request["level"]) == ("request", "error")
    assert (request["route"], request["status"]) == ("/userkey", 500)
    for secret in (SECRET, ODD, json.dumps(ODD)[1:-1]):
        assert secret.encode() not in server.said
    assert "UnicodeEncodeError" not in answer.text
