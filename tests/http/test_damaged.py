"""When what is stored of a user was damaged: nobody gets in by it, and nobody hears what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.http.steps import ISSUER, SECRET, authenticate, register
from tests.store.intruding import intrude

if TYPE_CHECKING:
    from pathlib import Path

    from tests.http.conftest import Starting

READ = "SELECT secret_hash FROM user_directory_v1 WHERE user_key = ?"
CHANGE = "UPDATE user_directory_v1 SET secret_hash = ? WHERE user_key = ?"
WRONG = "a loud rope of seven"
FORM = {"Origin": ISSUER, "Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize("secret", [SECRET, WRONG])
def test_a_damaged_hash_lets_nobody_in_and_is_told_to_nobody(
    start: Starting, tmp_path: Path, secret: str
) -> None:
    """Security rules 19 and 28: by no way in, whether the secret is right or wrong."""
    api = start()
    ada, bob = register(api), register(api, "Bob")
    with intrude(f"sqlite:///{tmp_path}/gatebook.db") as intruder:
        (blob,) = intruder.run(READ, (ada,))[0]
        assert isinstance(blob, bytes)
        intruder.run(CHANGE, (blob[:-1] + bytes([blob[-1] ^ 1]), ada))
    grant = {"grant_type": "client_credentials", "client_id": ada, "client_secret": secret}
    login = {"user": "Ada", "user_secret": secret, "next": ""}
    answers = [
        api.post("/authenticate", json={"user_key": ada, "user_secret": secret}),
        api.post("/userkey", json={"user_id": "Ada", "user_secret": secret}),
        api.post("/oauth/token", data=grant),
        api.post("/web/login", data=login, headers=FORM, follow_redirects=False),
    ]
    for answer in answers:
        assert answer.status_code == 500, answer.text
        assert "set-cookie" not in answer.headers
        for inside in ("secret_hash", "sealed", "changed", "elsewhere", "damage", ada, "Traceback"):
            assert inside not in answer.text.lower(), answer.text
    assert answers[0].json()["code"] == answers[1].json()["code"] == "internal_error"
    assert answers[2].json()["error"] == "server_error"
    authenticate(api, bob)
