"""The documentation as the service gives it: every page, every link, what is kept, the search."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urldefrag

import httpx
import pytest

from app.web.docs_files import files, pictures
from tests.benchmarks.processor import Meter
from tests.docs.pages import ROOT
from tests.pages.visits import PATIENCE, Visit
from tests.running import running, settings

PATHS = sorted(each.path for each in files(ROOT))
HREF = re.compile(r'<a [^>]*?href="([^"]+)"')
ID = re.compile(r' id="([^"]+)"')


@pytest.fixture(scope="module")
def client(origin: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=origin, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def answers(client: httpx.Client) -> dict[str, httpx.Response]:
    """Every page."""
    return {path: client.get(path) for path in PATHS}


def test_every_page_is_served(answers: dict[str, httpx.Response]) -> None:
    """Security rule 24."""
    assert len(answers) > 60
    for path, answer in answers.items():
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.text.count("<h1") == 1, path
        assert not re.search(r"<[a-z]+[^>]* (?:style|on\w+)=", answer.text), path
        assert not re.search(r"<script(?![^>]* src=)", answer.text), path


@pytest.mark.parametrize(
    ("picture", "shown_on"),
    [
        ("docs/model.svg", "/docs/project/readme"),
        ("docs/rotation.svg", "/docs/explanation/rotation-compared"),
    ],
)
def test_a_picture_is_what_its_page_shows(
    client: httpx.Client, answers: dict[str, httpx.Response], picture: str, shown_on: str
) -> None:
    assert f'<img src="/{picture}"' in answers[shown_on].text
    answer = client.get(f"/{picture}")
    assert answer.content == (ROOT / picture).read_bytes()
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "script" not in answer.headers["content-security-policy"]


def test_every_picture_is_served_and_no_other_file(client: httpx.Client) -> None:
    charts = pictures(ROOT) - {"docs/model.svg"}
    assert charts
    for name in charts:
        answer = client.get(f"/{name}")
        assert answer.content == (ROOT / name).read_bytes()
        assert answer.headers["content-type"] == "image/svg+xml"
        assert client.get(f"/{name.removesuffix('.svg')}.json").status_code == 404
        assert client.get(f"/docs/..%2f{name}").status_code == 404


def test_every_link_of_every_page_leads_somewhere(
    client: httpx.Client, answers: dict[str, httpx.Response]
) -> None:
    """As a browser follows them: those of the head, of the side and of the text."""
    texts = {path: answer.text for path, answer in answers.items()}
    seen = set()
    for path, answer in answers.items():
        for link in HREF.findall(answer.text):
            if link.startswith(("https://", "http://")):
                continue
            there, anchor = urldefrag(link)
            there = there or path
            if there not in texts:
                found = client.get(there)
                assert found.status_code == 200, f"{path}: {link}"
                texts[there] = found.text
            assert not anchor or anchor in ID.findall(texts[there]), f"{path}: {link}"
            seen.add((there, anchor))
    assert len(seen) > 500


def test_the_side_says_where_one_is(answers: dict[str, httpx.Response]) -> None:
    for path, answer in answers.items():
        assert f'href="{path}" aria-current="page"' in answer.text, path


def test_one_can_read_from_the_first_page_to_the_last(answers: dict[str, httpx.Response]) -> None:
    path, read = "/docs", []
    while True:
        read.append(path)
        after = re.search(r'rel="next" href="([^"]+)"', answers[path].text)
        if after is None:
            break
        path = after[1]
        assert f'rel="prev" href="{read[-1]}"' in answers[path].text
    assert sorted(read) == PATHS


def test_a_browser_that_has_a_page_is_told_so(client: httpx.Client) -> None:
    first = client.get("/docs/reference/events")
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Cookie"
    again = client.get("/docs/reference/events", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert client.get("/docs").headers["etag"] != first.headers["etag"]


def test_whoever_has_logged_in_since_has_another_page(visit: Visit, client: httpx.Client) -> None:
    """Its head leads elsewhere."""
    etag = client.get("/docs").headers["etag"]
    known = visit.get("/docs", **{"If-None-Match": etag})
    assert known.status_code == 200
    assert known.headers["etag"] != etag
    visit.client.close()


@pytest.mark.parametrize(
    "path",
    [
        "/docs/nothing",
        "/docs/how-to",
        "/docs/how-to/change-keys.md",
        "/docs/%2e%2e/pyproject",
        "/docs/how-to/..%2f..%2f..%2fapp/settings",
        "/docs//etc/passwd",
        "/docs/%00",
        "/docs/<script>",
    ],
)
def test_what_is_no_page_is_not_found(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script>" not in answer.text


def test_the_search_finds_without_javascript(client: httpx.Client) -> None:
    answer = client.get("/docs/search", params={"q": "leaked  token"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert 'value="leaked token"' in answer.text
    assert "<mark>leaked</mark>" in answer.text
    links = HREF.findall(answer.text.partition("docs-found")[2])
    assert links[0].startswith("/docs/how-to/")
    for link in links:
        assert client.get(urldefrag(link).url).status_code == 200, link


def test_what_was_asked_for_is_shown_and_not_obeyed(client: httpx.Client) -> None:
    answer = client.get("/docs/search", params={"q": '"><script>alert(1)</script>'})
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;" in answer.text


@pytest.mark.parametrize("query", ["", " ", "xyzzy", "\0", "ä" * 200, "a" * 2_000, "a b c d e f"])
def test_any_query_has_an_answer(client: httpx.Client, query: str) -> None:
    answer = client.get("/docs/search", params={"q": query})
    assert answer.status_code == 200
    if query == "xyzzy":
        assert "Nothing has all of these words." in answer.text


def test_a_page_that_is_there_gets_what_is_found_alone(client: httpx.Client) -> None:
    found = client.get("/docs/search", params={"q": "erase"}, headers={"HX-Request": "true"})
    assert "<html" not in found.text
    assert 'hx-swap-oob="true"' in found.text
    assert "/docs/how-to/erase-a-person" in found.text
    assert "HX-Request" in found.headers["vary"]
    nothing = client.get("/docs/search", params={"q": ""}, headers={"HX-Request": "true"})
    assert "<h1" not in nothing.text


def test_a_page_costs_little_once_all_are_made(sqlite_url: str) -> None:
    """The first request has the documentation made, by a thread, while others are answered."""
    with running(settings(sqlite_url)) as server:
        address = f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=address, timeout=PATIENCE) as client:
            client.get("/docs")
            paths = [
                *PATHS,
                "/docs/search?q=rotate+keys",
                "/docs/search?q=st+re+co+se+de+in+pr+to",
            ] * 2
            meter = Meter(server.pid)
            for path in paths:
                assert client.get(path).status_code == 200
            assert meter.used() / len(paths) < 0.020
