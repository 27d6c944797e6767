"""What the service's own log says of refusals: which request, of whom, and how it was answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx

from tests.http.people import WAIT, People
from tests.running import running, settings

if TYPE_CHECKING:
    from pathlib import Path


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
            ]
        server.stop()
    said = [json.loads(each) for each in server.said.splitlines() if each.startswith(b"{")]
    lines = {each.get("request_id"): each for each in said if each["event"] == "request"}
    found = [lines[each.headers["x-request-id"]] for each in answers]
    assert [(each["route"], each["status"], each["user_key"]) for each in found] == [
        ("/users", 403, ada.user_key),
        ("/authenticate", 401, None),
        ("/me", 401, None),
        ("/register", 400, None),
    ]
