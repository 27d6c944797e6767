"""Every refusal: a status, a page of the service, a section of the reference, a golden example."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from app.http.explanation import EXPLANATIONS, text_of
from app.http.problem import BY_CODE, STATUS, headers_of, problem_of, status_of
from domain import errors
from domain.errors import Fault, GatebookError
from tests.http.problem_reference import PAGE, render
from tests.http.steps import authenticate, problem, register

GOLDEN = Path(__file__).parents[1] / "golden" / "problems.json"


def below(cls: type[GatebookError]) -> Iterator[type[GatebookError]]:
    for each in cls.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each
            yield from below(each)


TREE = list(below(GatebookError))
CODES = sorted({cls.code for cls in TREE})


@pytest.mark.parametrize("cls", TREE, ids=lambda cls: cls.__name__)
def test_every_error_has_its_status(cls) -> None:
    if cls in {errors.TryLater, errors.Conflict}:  # what clients see is one of its kinds
        assert {each for each in TREE if each.__base__ is cls} <= set(STATUS)
    else:
        assert cls in STATUS
    assert 400 <= status_of(cls) < 600


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_its_page(server, code) -> None:
    answer = server.ask("GET", f"/errors/{code}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    text = answer.body.decode()
    assert text == text_of(code)
    cls = BY_CODE[code]
    assert text.startswith(f"{cls.title} ({code}, status {status_of(cls)})\n")
    assert "\n\nWhat to do\n\n" in text


def test_there_is_no_page_for_what_is_no_code(server) -> None:
    assert set(EXPLANATIONS) == set(CODES) == set(BY_CODE)
    for code in ("nothing", "Not_found", "unusable_store"):
        assert server.ask("GET", f"/errors/{code}").json["code"] == "not_found"


def test_a_problem_s_type_leads_to_its_page(server) -> None:
    kind = server.ask("GET", "/nothing").json["type"]
    path = kind.removeprefix("https://auth.example.org")
    assert "not_found" in server.ask("GET", path).body.decode()


def test_the_reference_is_fresh() -> None:
    """`python -m tests.http.problem_reference` writes it anew."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == render()
    for code in CODES:
        assert f"\n## {code}\n" in page


SAMPLES: tuple[GatebookError, ...] = (
    errors.InvalidRequest("The body is not JSON."),
    errors.InvalidRequest("A member has the wrong type.", (Fault("/user_id", "Expected `str`."),)),
    errors.UnacceptableSecret("It is not acceptable.", (Fault("/user_secret", "Too short."),)),
    errors.InvalidCredentials(),
    errors.InvalidToken(),
    errors.InvalidToken(shown=False),
    errors.InvalidToken(reason="expired"),
    errors.InvalidToken(reason="revoked"),
    errors.InvalidToken(reason="reused"),
    errors.InvalidToken(reason="retired"),
    errors.InvalidToken(reason="user_disabled"),
    errors.InsufficientPermission("users:read"),
    errors.RegistrationClosed(),
    errors.NotFound(),
    errors.MethodNotAllowed(),
    errors.TooLarge(),
    errors.UnsupportedMediaType(),
    errors.UserIdTaken(),
    errors.LastAdministrator(),
    errors.LogChanged(),
    errors.RebuildRunning(),
    errors.TooManyAttempts(17),
    errors.Overloaded(3),
    errors.Unavailable(),
    errors.InternalError("a secret of the service"),
    errors.Damage("a secret of the store"),
)


def answers() -> str:
    """Body and headers of every problem, as the golden file spells them."""
    issuer, request_id = "https://auth.example.org", "0123456789abcdef0123456789abcdef"
    found = [
        {
            "headers": headers_of(error),
            "body": msgspec.to_builtins(problem_of(error, issuer, request_id)),
        }
        for error in SAMPLES
    ]
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def test_every_problem_is_the_golden_one() -> None:
    """When it is meant to change: `python -m tests.http.test_problems` writes it anew."""
    assert answers() == GOLDEN.read_text(encoding="utf-8")
    assert {type(each) for each in SAMPLES} == set(TREE) - {errors.TryLater, errors.Conflict}


def test_a_fault_of_the_service_tells_nothing_of_itself() -> None:
    """Security rule 19."""
    assert "a secret of" not in answers()


@pytest.mark.parametrize("query", ["order=canary", "limit=canary", "order=it's%0Acanary'"])
def test_what_was_sent_in_a_query_is_not_told_again(api, query: str) -> None:
    """Security rule 19."""
    key = register(api)
    token = authenticate(api, key)["access_token"]
    answer = api.get(f"/me/events?{query}", headers={"Authorization": f"Bearer {token}"})
    body = problem(answer, 400, "invalid_request", "errors")
    assert "canary" not in answer.text
    assert body["errors"][0]["pointer"] == f"/{query.partition('=')[0]}"
    assert body["errors"][0]["detail"].endswith(".")


if __name__ == "__main__":
    GOLDEN.write_text(answers(), encoding="utf-8")
