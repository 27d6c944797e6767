"""What pages refuse: forms of other sites, frames, and the cookie anywhere but at pages."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx
import pytest

from app.web.admin.controllers import ADMINISTRATION
from app.web.controllers import CONTROLLERS
from tests.http.steps import SECRET
from tests.pages.visits import Visit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pages.browsing import Browsing

FORMS = {
    "/web/register": {"user_id": "eve", "user_secret": SECRET},
    "/web/login": {"user": "eve", "user_secret": SECRET, "next": "/account"},
    "/web/logout": {},
    "/web/sessions/end": {"session_id": "0" * 22},
    "/web/sessions/end-others": {},
    "/web/secret": {"user_secret": SECRET, "new_user_secret": "a new rope of nine"},
    "/web/erase": {"user_secret": SECRET},
}
ELSEWHERE = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "", "sec-fetch-site": ""},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "http://evil.example:1", "host": "evil.example:1"},
    {"origin": "http://[", "host": "["},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
]


def posts() -> set[str]:
    """Every path that a controller of pages takes forms at, but for the administration's."""
    return {
        path
        for controller in set(CONTROLLERS) - set(ADMINISTRATION)
        for handler in vars(controller).values()
        for path in getattr(handler, "paths", ())
        if "POST" in handler.http_methods
    }


def test_every_form_is_among_those_that_are_tried() -> None:
    assert posts() == set(FORMS)


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
@pytest.mark.parametrize("path", FORMS)
def test_a_form_of_another_site_does_nothing(
    visit: Visit, path: str, headers: dict[str, str]
) -> None:
    before = visit.get("/account/history").text
    answer = visit.send(path, FORMS[path], **headers)
    assert answer.status_code == 400
    assert "was not sent from a page of this service" in answer.text
    assert "set-cookie" not in answer.headers
    after = visit.get("/account/history")
    assert after.status_code == 200
    assert listed(after.text) == listed(before)


def listed(text: str) -> list[str]:
    """What a history lists."""
    return re.findall(r"<code class=\"small\">(.*?)</code>", text)


@contextmanager
def another_site(content: str) -> Iterator[str]:
    """A page on another host: its origin."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        # A browser keeps connections open, for which nobody waits.
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_browser_sends_nothing_from_another_site_that_counts(
    browse: Browsing, origin: str, ada: Visit
) -> None:
    window = browse.window()
    page = window.go("/login")
    page.fill("#user", ada.name)
    page.fill("#user_secret", SECRET)
    window.press("Log in")
    page.wait_for_url("**/account")
    form = f'<form method="post" action="{origin}/web/logout"><button>Win</button></form>'
    with another_site(form) as evil:
        window.expected = {"400"}
        window.elsewhere = evil
        page.goto(evil)
        page.get_by_role("button", name="Win").click()
        page.get_by_role("heading", name="Invalid request").wait_for()
    window.go("/account")
    assert page.get_by_role("heading", level=1).inner_text() == ada.name


def test_no_page_is_shown_in_a_frame(browse: Browsing, origin: str) -> None:
    window = browse.window()
    with another_site(f'<iframe src="{origin}/login"></iframe>') as evil:
        window.elsewhere = evil
        with window.page.expect_console_message(lambda told: "frame-ancestors" in told.text):
            window.page.goto(evil)
        assert window.faults
        window.faults.clear()
        frame = window.page.frames[1]
        assert frame.locator("form").count() == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/me"),
        ("GET", "/me/events"),
        ("GET", "/sessions"),
        ("DELETE", "/sessions"),
        ("POST", "/me/erase"),
        ("GET", "/users"),
        ("GET", "/events/stream"),
        ("POST", "/keys/rotate"),
    ],
)
def test_the_cookie_counts_for_nothing_at_the_json_api(
    visit: Visit, method: str, path: str
) -> None:
    """Nor does what it holds, as a bearer's token (security rule 14)."""
    for headers in ({}, {"authorization": f"Bearer {visit.token}"}):
        body = {"user_secret": SECRET} if path == "/me/erase" else {"now": True}
        answer = visit.client.request(
            method, path, headers=headers, json=body if method == "POST" else None
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert visit.get("/account").status_code == 200


def test_an_access_token_is_no_session_of_a_page(ada: Visit) -> None:
    assert ada.log_in().status_code == 303
    user_key = re.findall(r"uk_[0-9a-z]{26}", ada.get("/account").text)[0]
    tokens = ada.client.post(
        "/authenticate", json={"user_key": user_key, "user_secret": SECRET}
    ).json()
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    ada.client.cookies.clear()
    assert ada.client.get("/account", headers=bearer).status_code == 303
    cookie = {"cookie": f"gatebook={tokens['access_token']}"}
    answer = ada.client.get("/account", headers=cookie)
    assert answer.status_code == 303
    assert "Max-Age=0" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "path", ["/", "/register", "/account", "/account/secret", "/errors/not_found"]
)
def test_every_page_keeps_itself_to_itself(visit: Visit, path: str) -> None:
    """Security rule 24: as strictly as pages can be, and no copy of what somebody was shown."""
    answer = visit.get(path, accept="text/html")
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    for each in ("<style", "javascript:", "http-equiv"):
        assert each not in answer.text
    assert not re.search(r"<[^>]+\s(?:on\w+|style)=", answer.text)
    assert all(not body for body in re.findall(r"<script[^>]*>([^<]*)</script>", answer.text))


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nx: y", "javascript:1", ""],
)
def test_a_login_leads_to_this_service_alone(ada: Visit, path: str) -> None:
    fields = {"user": ada.name, "user_secret": SECRET, "next": path}
    answer = ada.send("/web/login", fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    again = httpx.URL(f"{ada.origin}/login", params={"next": path})
    assert ada.client.get(again).headers["location"] == "/account"


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b'{"user": "ada"}', "application/json", 415),
        (b"user=ada", "text/plain", 415),
        (b"user=ada&user=eve", "application/x-www-form-urlencoded", 400),
        (b"user=ada&admin=1", "application/x-www-form-urlencoded", 400),
        (b"user=%ff", "application/x-www-form-urlencoded", 400),
        (b"user=" + b"a" * 17_000, "application/x-www-form-urlencoded", 413),
        (b"", "application/x-www-form-urlencoded", 400),
    ],
)
def test_what_is_no_form_of_the_page_is_refused_as_a_page(
    stranger: Visit, body: bytes, media_type: str, status: int
) -> None:
    """Security rules 1 and 3."""
    headers = {"content-type": media_type, "origin": stranger.origin}
    answer = stranger.client.post("/web/login", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_other_methods_and_paths_are_refused_as_pages(stranger: Visit) -> None:
    answer = stranger.get("/web/login")
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for path in ("/web/nothing", "/account/nothing", "/registered/x", "/web/static/nothing.css"):
        answer = stranger.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/account/nothing", 404),
        ("/admin/users/x/y/z", 404),
        ("/web/nothing", 404),
        ("/web/login", 405),
        ("/nothing", 404),
    ],
)
def test_who_is_logged_in_is_no_stranger_where_nothing_is(
    visit: Visit, path: str, status: int
) -> None:
    answer = visit.get(path, accept="text/html")
    assert answer.status_code == status
    assert "Log out" in answer.text
    assert 'href="/login"' not in answer.text
    with Visit(visit.origin) as other:
        assert 'href="/login"' in other.get(path, accept="text/html").text
    visit.client.post("/revoke", json={"refresh_token": visit.token})
    over = visit.get(path, accept="text/html")
    assert (over.status_code, "Log out" in over.text) == (status, False)
    assert "Max-Age=0" in over.headers["set-cookie"]


def test_programs_get_problems_where_browsers_get_pages(stranger: Visit) -> None:
    for path in ("/nothing", "/errors/nothing"):
        as_ever = stranger.get(path, accept="*/*")
        assert as_ever.headers["content-type"] == "application/problem+json"
        shown = stranger.get(path, accept="text/html,application/xhtml+xml,*/*;q=0.8")
        assert shown.headers["content-type"] == "text/html; charset=utf-8"
        assert as_ever.status_code == shown.status_code == 404
    options = stranger.client.options("/register")
    assert options.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    as_json = stranger.client.put("/register")
    assert as_json.json()["code"] == "method_not_allowed"


def test_a_problem_is_told_in_text_or_as_a_page(stranger: Visit) -> None:
    as_text = stranger.get("/errors/invalid_token", accept="*/*")
    assert as_text.headers["content-type"] == "text/plain; charset=utf-8"
    assert as_text.headers["vary"] == "Accept"
    as_page = stranger.get("/errors/invalid_token", accept="text/html")
    assert "<h1>Invalid token</h1>" in as_page.text
    assert as_page.headers["vary"] == "Accept"
    assert (
        stranger.get("/errors/invalid_token", accept="text/plain, text/html;q=0.9").text
        == as_text.text
    )


def test_what_a_visitor_calls_itself_is_shown_and_not_run(stranger: Visit) -> None:
    name = "<script>alert(1)</script>"
    stranger.name = f"{name}&amp;"
    refused = stranger.send("/web/register", {"user_id": name, "user_secret": "short"})
    stranger.send("/web/register", {"user_id": stranger.name, "user_secret": SECRET})
    assert stranger.log_in().status_code == 303
    for answer in (refused, stranger.get("/account"), stranger.get("/account/erase")):
        assert "<script>alert" not in answer.text
        assert "&lt;script&gt;alert(1)" in answer.text
