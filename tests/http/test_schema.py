"""The description, and the page to read it on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urljoin

import pytest

from app.application import application
from app.http.description import describe
from app.http.problem import BY_CODE
from app.settings import load
from app.version import VERSION
from tests.running import settings

GOLDEN = Path(__file__).parents[1] / "golden" / "openapi.json"
STATIC = Path(__file__).parents[2] / "app" / "http" / "static"
SWAGGER_UI = "5.35.0"


def text_of(document: object) -> str:
    """As the golden file spells it; of the version only that there is one."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    return text.replace(json.dumps(VERSION), '"VERSION"') + "\n"


@pytest.fixture(scope="module")
def document(server):
    return server.ask("GET", "/schema/openapi.json").json


def test_the_description_is_the_golden_one(document) -> None:
    """When it is meant to change: `python -m tests.http.test_schema` writes it anew."""
    assert text_of(document) == GOLDEN.read_text(encoding="utf-8")


def test_no_object_is_left_open(document) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert schema["additionalProperties"] is False, name
        assert set(schema["required"]) <= set(schema["properties"]), name


def test_every_refusal_is_a_problem_of_its_status(document) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if int(status) < 400 or (path, status) == ("/readyz", "503"):
                    continue
                if path.startswith("/oauth/"):
                    content = answer["content"]["application/json"]["schema"]
                    assert content == {"$ref": "#/components/schemas/OAuthError"}
                    continue
                (media_type,) = answer["content"]
                assert media_type == "application/problem+json"
                schema = answer["content"][media_type]["schema"]
                for each in schema.get("oneOf", [schema]):
                    name = each["$ref"].rpartition("/")[2]
                    members = document["components"]["schemas"][name]["properties"]
                    assert members["status"]["const"] == int(status)
                    assert members["code"]["const"] in BY_CODE


def test_every_reference_leads_somewhere(document) -> None:
    for reference in set(re.findall(r'"\$ref": "#([^"]*)"', json.dumps(document))):
        found = document
        for name in reference.strip("/").split("/"):
            found = found[name]


def test_only_the_holder_s_endpoints_ask_for_a_token(document) -> None:
    secured = {
        path
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if operation.get("security") and not path.startswith("/oauth/")
    }
    assert {"/me", "/sessions", "/users"} <= secured
    holders = {path.split("/")[1] for path in secured}
    assert holders <= {"me", "sessions", "users", "keys", "projections", "events"}
    assert secured == {path for path in document["paths"] if path.split("/")[1] in holders}
    assert document["components"]["securitySchemes"]["accessToken"]["scheme"] == "bearer"


def test_every_operation_for_administrators_names_its_permission(document) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            named = re.search(r"\[([a-z:]+)\]$", operation["summary"])
            refusable = "403" in operation["responses"] and path != "/register"
            assert bool(named) == refusable, operation["operationId"]


def test_what_has_no_body_says_so(document) -> None:
    for path in ("/sessions", "/sessions/{session_id}", "/users/{user_key}/sessions"):
        assert "content" not in document["paths"][path]["delete"]["responses"]["204"]
    assert "content" not in document["paths"]["/me/secret"]["post"]["responses"]["204"]


def test_a_refresh_has_one_of_two_bodies(document) -> None:
    answer = document["paths"]["/refresh"]["post"]["responses"]["200"]["content"]
    names = [
        each["$ref"].rpartition("/")[2] for each in answer["application/json"]["schema"]["oneOf"]
    ]
    schemas = document["components"]["schemas"]
    assert [set(schemas[name]["required"]) for name in names] == [
        {"access_token"},
        {"access_token", "refresh_token"},
    ]


def test_a_member_may_be_null_where_the_words_for_it_are_of_a_text(document) -> None:
    schemas = document["components"]["schemas"]
    for name, member in (
        ("UserItem", "user_id"),
        ("UserItem", "last_login_at"),
        ("SessionItem", "ip"),
        ("EventItem", "user_key"),
        ("UserPage", "next"),
        ("EventPage", "next"),
    ):
        assert schemas[name]["properties"][member]["type"] == ["string", "null"]
        assert schemas[name]["properties"][member]["description"]
    assert schemas["EventItem"]["properties"]["data"]["additionalProperties"] is True


def test_a_link_names_an_operation_and_only_what_that_takes(document) -> None:
    known = {
        operation["operationId"]: operation
        for operations in document["paths"].values()
        for operation in operations.values()
    }
    links = [
        link
        for operation in known.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) > 5
    for link in links:
        taken = {each["name"] for each in known[link["operationId"]].get("parameters", ())}
        assert set(link.get("parameters", {})) <= taken


def parts_of(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"]*)"', page)


def test_the_page_is_made_of_files_of_this_service_alone(server) -> None:
    page = server.ask("GET", "/schema")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for part in parts_of(page.body.decode()):
        if part == "data:,":
            continue
        assert part.startswith("/schema/")
        assert server.ask("GET", part).status == 200


def test_the_page_has_no_script_and_no_style_of_its_own(server) -> None:
    """Security rule 24: its policy allows files only."""
    page = server.ask("GET", "/schema").body.decode()
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == ["", ""]
    assert "<style" not in page
    assert not re.search(r"\s(?:on\w+|style)=", page)


def test_nothing_that_the_page_loads_names_another_host(server) -> None:
    """The policy forbids it anyway; this shows that nothing is missed for it."""
    css = server.ask("GET", "/schema/swagger-ui.css").body.decode()
    assert "@import" not in css
    assert all(url.strip("\"'").startswith("data:") for url in re.findall(r"url\(([^)]*)\)?", css))
    script = server.ask("GET", "/schema/schema.js").body.decode()
    assert "http" not in script
    assert "validatorUrl: null" in script
    assert (
        urljoin("https://h/p/schema/schema.js", "openapi.json") == "https://h/p/schema/openapi.json"
    )


def test_the_vendored_files_are_the_released_ones() -> None:
    folder = STATIC / "swagger-ui"
    assert f"Version {SWAGGER_UI} " in (folder / "README.md").read_text(encoding="utf-8")
    assert SWAGGER_UI in (folder / "swagger-ui-bundle.js").read_text(encoding="utf-8")
    assert (folder / "LICENSE").read_text(encoding="utf-8").lstrip().startswith("Apache License")
    assert (folder / "NOTICE").exists()


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("schema.css", "text/css; charset=utf-8"),
        ("schema.js", "text/javascript; charset=utf-8"),
    ],
)
def test_a_file_that_the_browser_has_is_not_sent_again(server, name, media_type) -> None:
    first = server.ask("GET", f"/schema/{name}")
    assert first.headers["content-type"] == media_type
    assert first.headers["cache-control"] == "public, max-age=3600"
    etag = first.headers["etag"]
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = server.ask("GET", f"/schema/{name}", headers={"If-None-Match": given})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    changed = server.ask("GET", f"/schema/{name}", headers={"If-None-Match": etag[:-2] + '"'})
    assert (changed.status, changed.body) == (200, first.body)


@pytest.mark.parametrize(
    "path", ["/schema/README.md", "/schema/../schema.py", "/schema/%2e%2e/schema.py"]
)
def test_no_other_file_is_served(server, path) -> None:
    answer = server.ask("GET", path)
    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_the_page_finds_its_files_below_the_issuer_s_path(start) -> None:
    client = start(ISSUER="https://example.org/id")
    assert {part for part in parts_of(client.get("/schema").text) if part != "data:,"} == {
        f"/id/schema/{name}"
        for name in (
            "swagger-ui.css",
            "schema.css",
            "swagger-ui-bundle.js",
            "schema.js",
            "openapi.json",
        )
    }


if __name__ == "__main__":
    app = application(load(settings("sqlite:///x", ISSUER="https://auth.example.org")).settings)
    GOLDEN.write_text(text_of(describe(app)), encoding="utf-8")
