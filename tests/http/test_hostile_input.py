"""Whatever is sent, the answer is the documented refusal, and nothing is stored."""

from __future__ import annotations

import json

import pytest

from app.http.body import _depth
from tests.http.asking import JSON, PROBLEM, Answer

POSTS = {
    "/register": {"user_id": "mallory", "user_secret": "a quiet rope of seven"},
    "/authenticate": {"user_key": "uk_00000000000000000000000000", "user_secret": "a quiet rope"},
    "/refresh": {"refresh_token": "gbr_x"},
    "/userkey": {"user_id": "mallory", "user_secret": "a quiet rope of seven"},
    "/revoke": {"refresh_token": "gbr_x"},
}
MEMBERS = [(path, name) for path, members in POSTS.items() for name in members]
WRONG = {
    "nothing": b"",
    "white space": b" \r\n ",
    "half a document": b'{"user_id": "mal',
    "two documents": b"{}{}",
    "a trailing comma": b'{"user_id": "m",}',
    "single quotes": b"{'user_id': 'm'}",
    "a comment": b'{"user_id": "m" /* */}',
    "a bare line end in a string": b'{"user_id": "m\n"}',
    "a bare NUL in a string": b'{"user_id": "m\x00"}',
    "NaN": b'{"user_id": NaN, "user_secret": "a"}',
    "Infinity": b'{"user_id": -Infinity, "user_secret": "a"}',
    "invalid UTF-8": b'{"user_id": "\xff\xfe", "user_secret": "a quiet rope of seven"}',
    "overlong UTF-8": b'{"user_id": "\xc0\xaf", "user_secret": "a quiet rope of seven"}',
    "a surrogate in UTF-8": b'{"user_id": "\xed\xa0\x80", "user_secret": "a quiet rope"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": json.dumps({"user_id": "m"}).encode("utf-16"),
    "UTF-32": json.dumps({"user_id": "m"}).encode("utf-32"),
    "a list": b'["user_id", "user_secret"]',
    "a string": b'"user_id"',
    "a number": b"1",
    "null": b"null",
    "an empty object": b"{}",
    "a number of 16,000 digits": b'{"user_id": ' + b"9" * 16_000 + b"}",
    "a number beyond a float": b'{"user_id": 1e999999}',
    "17 arrays": b'{"user_id": ' + b"[" * 16 + b"]" * 16 + b"}",
    "8,000 arrays": b"[" * 8_000 + b"]" * 8_000,
    "8,000 arrays that never end": b"[" * 8_000,
    "8,000 objects": b'{"":' * 3_000,
}


def check(answer: Answer, status: int, code: str) -> None:
    """The problem, with exactly its members, and a request id that the header repeats."""
    assert (answer.status, answer.json["code"]) == (status, code), answer
    more = {"errors"} if status == 400 else set()
    assert set(answer.json) == PROBLEM | more
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json["status"] == status
    assert answer.json["type"] == f"https://auth.example.org/errors/{code}"
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    for fault in answer.json.get("errors", ()):
        assert set(fault) == {"pointer", "detail"}


def methods_of(path: str) -> set[str]:
    """What a path takes; there is a page, too, at which people register."""
    page = {"GET", "HEAD"} if path == "/register" or path not in POSTS else set()
    return {"OPTIONS", *page, *(["POST"] if path in POSTS else [])}


def pointers(answer: Answer) -> list[str]:
    return [fault["pointer"] for fault in answer.json["errors"]]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_the_json_object_asked_for_is_refused(server, path, what) -> None:
    """Security rules 2 and 8."""
    with server.nothing_stored():
        check(server.ask("POST", path, WRONG[what], JSON), 400, "invalid_request")


@pytest.mark.parametrize("path", POSTS)
def test_a_repeated_member_is_refused(server, path) -> None:
    """Security rule 2."""
    name = next(iter(POSTS[path]))
    whole = json.dumps(POSTS[path])
    body = f'{whole[:-1]}, "{name}": "other"}}'.encode()
    with server.nothing_stored():
        answer = server.ask("POST", path, body, JSON)
    check(answer, 400, "invalid_request")
    assert pointers(answer) == [f"/{name}"]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("name", ["permissions", "admin", "a/b~c", "user_Id", ""])
def test_an_unknown_member_is_refused_not_ignored(server, path, name) -> None:
    """Security rule 2: permissions can't be had by asking for them."""
    with server.nothing_stored():
        answer = server.post(path, {**POSTS[path], name: ["admin"]})
    check(answer, 400, "invalid_request")
    assert pointers(answer) == ["/" + name.replace("~", "~0").replace("/", "~1")]


@pytest.mark.parametrize("path", POSTS)
def test_a_member_whose_name_is_no_text_is_refused(server, path) -> None:
    with server.nothing_stored():
        answer = server.post(path, {**POSTS[path], "\ud800": 1})
    check(answer, 400, "invalid_request")
    assert pointers(answer) == [""]


@pytest.mark.parametrize(("path", "name"), MEMBERS)
def test_a_missing_member_is_named(server, path, name) -> None:
    with server.nothing_stored():
        answer = server.post(path, {k: v for k, v in POSTS[path].items() if k != name})
    check(answer, 400, "invalid_request")
    assert pointers(answer) == [f"/{name}"]


@pytest.mark.parametrize(("path", "name"), MEMBERS)
@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], {}, ["a"]], ids=repr)
def test_a_member_of_another_type_is_refused(server, path, name, value) -> None:
    with server.nothing_stored():
        answer = server.post(path, {**POSTS[path], name: value})
    check(answer, 400, "invalid_request")
    assert pointers(answer) == [f"/{name}"]


@pytest.mark.parametrize(("path", "name"), MEMBERS)
@pytest.mark.parametrize(
    "value",
    ["\ud800", "a\udfff lone one", "\x00", "a\x00 long enough", "\u2028 line", "\x1b[31m red one"],
    ids=ascii,
)
def test_surrogates_and_controls_are_refused_in_every_member(server, path, name, value) -> None:
    """Security rules 4, 5 and 8. Of a token and of a key nothing is said but that it isn't one."""
    with server.nothing_stored():
        answer = server.post(path, {**POSTS[path], name: value})
    if path == "/revoke":
        assert (answer.status, answer.json) == (200, {})
    elif path == "/refresh":
        check(answer, 401, "invalid_token")
    elif name == "user_key":
        check(answer, 401, "invalid_credentials")
    elif name == "user_secret" and value == "\u2028 line":
        # A line separator is a space to RFC 8265, and a wrong secret like any other.
        assert answer.status in {400, 401}
    else:
        assert answer.status == 400
        assert pointers(answer) == [f"/{name}"]


@pytest.mark.parametrize(
    "name",
    [
        "'; DROP TABLE events; --",
        '" OR 1=1 --',
        "a%00b",
        "{{7*7}}${7*7}",
        "../../etc/passwd",
        "<script>alert(1)</script>",
    ],
)
def test_a_name_is_data_to_the_store(server, name) -> None:
    """What is acceptable is kept as it is; what isn't, is refused whole."""
    answer = server.post("/register", {"user_id": name, "user_secret": "a quiet rope of seven"})
    if answer.status == 400:
        check(answer, 400, "invalid_request")
        return
    assert answer.status == 201
    asked = server.post("/userkey", {"user_id": name, "user_secret": "a quiet rope of seven"})
    assert asked.json == answer.json
    wrong = server.post("/authenticate", {**answer.json, "user_secret": f"{name} or not"})
    check(wrong, 401, "invalid_credentials")
    assert server.ask("GET", "/readyz").status == 200


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "text/json"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json-patch+json"},
        {"Content-Type": "application/problem+json"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json, text/plain"},
        {"Content-Type": "application/x-msgpack"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", POSTS)
def test_only_the_declared_media_type_is_read(server, path, given) -> None:
    """Security rule 3."""
    with server.nothing_stored():
        answer = server.ask("POST", path, json.dumps(POSTS[path]).encode(), given)
    check(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "br", "x-none", "identity, gzip", ""])
@pytest.mark.parametrize("path", POSTS)
def test_a_coding_of_the_body_is_refused_not_passed_over(server, path, coding) -> None:
    """RFC 9110 §8.4: what stands there as it is may be something else to whom decodes it."""
    given = {"Content-Type": "application/json", "Content-Encoding": coding}
    with server.nothing_stored():
        answer = server.ask("POST", path, json.dumps(POSTS[path]).encode(), given)
    check(answer, 415, "unsupported_media_type")
    assert "Content-Encoding" in answer.json["detail"]


@pytest.mark.parametrize("coding", ["identity", "Identity"])
def test_no_coding_is_none_however_it_is_spelt(server, coding) -> None:
    body = json.dumps(POSTS["/revoke"]).encode()
    given = {"Content-Type": "application/json", "Content-Encoding": coding}
    assert server.ask("POST", "/revoke", body, given).status == 200


@pytest.mark.parametrize(
    "given", ["application/json", "Application/JSON", 'application/json; charset="UTF-8"']
)
def test_json_is_json_however_its_media_type_is_spelt(server, given) -> None:
    body = json.dumps(POSTS["/revoke"]).encode()
    answer = server.ask("POST", "/revoke", body, {"Content-Type": given})
    assert (answer.status, answer.json) == (200, {})


def filled(size: int) -> bytes:
    """A body of that size that is right in all but its size."""
    whole = json.dumps(POSTS["/revoke"]).encode()
    return whole[:-1] + b" " * (size - len(whole)) + b"}"


def test_a_body_of_exactly_16_kib_is_read(server) -> None:
    """Security rule 1."""
    answer = server.ask("POST", "/revoke", filled(16 * 1024), JSON)
    assert (answer.status, answer.json) == (200, {})


@pytest.mark.parametrize("size", [16 * 1024 + 1, 100_000, 1_000_000])
@pytest.mark.parametrize("path", POSTS)
def test_one_byte_more_is_too_large(server, path, size) -> None:
    """Security rule 1."""
    with server.nothing_stored():
        check(server.ask("POST", path, filled(size), JSON), 413, "too_large")


def test_100_000_nested_arrays_are_too_large(server) -> None:
    """Security rule 8."""
    answer = server.ask("POST", "/register", b"[" * 100_000 + b"]" * 100_000, JSON)
    check(answer, 413, "too_large")


def test_brackets_in_strings_are_no_depth(server) -> None:
    token = '[[[[[[[[[[[[[[[[[[[[\\"{{{{{{{{'
    answer = server.ask("POST", "/revoke", b'{"refresh_token": "%s"}' % token.encode(), JSON)
    assert (answer.status, answer.json) == (200, {})


def test_a_string_that_never_ends_is_read_once() -> None:
    """Security rule 8: read again from each of its quotes, 16 KiB would take seconds."""
    assert _depth(b'["' + b"[" * 20) == 1
    assert _depth(b'["' + b'\\"[' * 20) == 1


def head(path: str, *lines: str, version: str = "1.1") -> bytes:
    first = (f"POST {path} HTTP/{version}", "Host: a", "Content-Type: application/json")
    return "\r\n".join([*first, *lines, "", ""]).encode()


def test_a_chunked_body_counts_like_any_other(server) -> None:
    """Security rule 1: a body without a length is measured while it comes."""
    chunked = head("/revoke", "Transfer-Encoding: chunked")
    fits, too_long = filled(16 * 1024), filled(16 * 1024 + 1)
    answer = server.send(chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(fits), fits))
    assert (answer.status, answer.json) == (200, {})
    answer = server.send(chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(too_long), too_long))
    check(answer, 413, "too_large")


def test_http_1_0_is_answered(server) -> None:
    body = filled(100)
    answer = server.send(head("/revoke", "Content-Length: 100", version="1.0") + body)
    assert (answer.status, answer.json) == (200, {})
    assert server.send(b"GET /healthz HTTP/1.0\r\n\r\n").status == 200


def test_a_client_that_expects_to_go_on_is_told_to(server) -> None:
    """RFC 9110 §10.1.1; the answer read here is the one after 100."""
    lines = ("Content-Length: 100", "Expect: 100-continue")
    answer = server.send(head("/revoke", *lines) + filled(100))
    assert (answer.status, answer.json) == (200, {})


@pytest.mark.parametrize("path", ["/nothing", "/refresh/", "/Register", "/errors/", "/schema/x"])
def test_what_is_not_there_is_a_problem(server, path) -> None:
    answer = server.ask("GET", path)
    # A path with a slash at its end is the path without it.
    if path == "/refresh/":
        check(answer, 405, "method_not_allowed")
    else:
        check(answer, 404, "not_found")


@pytest.mark.parametrize("path", [*POSTS, "/me", "/me/events", "/healthz", "/schema/openapi.json"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_only_the_declared_method_is_taken(server, path, method) -> None:
    """Security rule 3."""
    if method in methods_of(path):
        return
    with server.nothing_stored():
        answer = server.ask(method, path)
    if method == "BREW" and answer.status == 400:
        assert answer.json["code"] == "invalid_request"  # no method that the parser knows
        return
    check(answer, 405, "method_not_allowed")
    allowed = {each.strip() for each in answer.headers["allow"].split(",")}
    assert allowed == methods_of(path)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/users", {"GET", "POST"}),
        ("/sessions", {"GET", "DELETE"}),
        ("/users/uk_x/sessions", {"GET", "DELETE"}),
        ("/users/uk_x/permissions", {"PUT"}),
        ("/sessions/x", {"DELETE"}),
    ],
)
def test_all_methods_of_a_path_are_named(server, path, methods) -> None:
    heads = {"HEAD"} if "GET" in methods else set()
    options, refused = server.ask("OPTIONS", path), server.ask("PATCH", path)
    check(refused, 405, "method_not_allowed")
    assert options.headers["allow"] == refused.headers["allow"]
    allowed = {each.strip() for each in options.headers["allow"].split(",")}
    assert allowed == {*methods, *heads, "OPTIONS"}


@pytest.mark.parametrize("path", [*POSTS, "/me", "/healthz", "/schema", "/schema/openapi.json"])
def test_options_names_the_methods(server, path) -> None:
    answer = server.ask("OPTIONS", path)
    assert (answer.status, answer.body) == (204, b"")
    allowed = {each.strip() for each in answer.headers["allow"].split(",")}
    assert allowed == methods_of(path)


@pytest.fixture(scope="module")
def tokens(server) -> dict[str, str]:
    """A user's tokens."""
    secret = "a quiet rope of seven"
    key = server.post("/register", {"user_id": "tessa", "user_secret": secret}).json
    return server.post("/authenticate", {**key, "user_secret": secret}).json


def test_kinds_of_token_are_not_interchangeable(server, tokens) -> None:
    """Security rule 14."""
    with server.nothing_stored():
        for rotate in ({}, {"rotate": True}):
            answer = server.post("/refresh", {"refresh_token": tokens["access_token"], **rotate})
            check(answer, 401, "invalid_token")
        bearer = {"Authorization": f"Bearer {tokens['refresh_token']}"}
        for path in ("/me", "/me/events", "/sessions", "/users"):
            check(server.ask("GET", path, headers=bearer), 401, "invalid_token")
        answer = server.post("/revoke", {"refresh_token": tokens["access_token"]})
        assert (answer.status, answer.json) == (200, {})
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert server.ask("GET", "/me", headers=bearer).status == 200


@pytest.mark.parametrize("name", ["access_token", "token", "authorization", "bearer"])
def test_a_token_in_a_query_string_is_never_read(server, tokens, name) -> None:
    """Security rule 3."""
    answer = server.ask("GET", f"/me?{name}={tokens['access_token']}")
    check(answer, 400, "invalid_request")
    answer = server.ask("GET", f"/metrics?{name}={tokens['access_token']}")
    assert tokens["access_token"] not in answer.body.decode()
    answer = server.ask("POST", f"/refresh?refresh_token={tokens['refresh_token']}", b"{}", JSON)
    check(answer, 400, "invalid_request")


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "Basic dGVzc2E6eA==",
        "bearer x y",
        "Bearer \xff\xfe",
        "Bearer " + "a" * 10_000,
        "Bearer a.b.c",
        "Token {token}",
        "Bearer {token}, Bearer {token}",
        "Bearer {token}=",
        "Bearer {token}\t.",
    ],
    ids=lambda value: value[:30],
)
def test_any_other_authorization_is_a_401(server, tokens, value) -> None:
    """Security rule 13."""
    given = value.replace("{token}", tokens["access_token"])
    check(server.ask("GET", "/me", headers={"Authorization": given}), 401, "invalid_token")


def test_two_authorizations_are_none(server, tokens) -> None:
    line = f"Authorization: Bearer {tokens['access_token']}\r\n"
    answer = server.send(f"GET /me HTTP/1.1\r\nHost: a\r\n{line * 2}\r\n".encode())
    check(answer, 401, "invalid_token")
    answer = server.send(f"GET /me HTTP/1.1\r\nHost: a\r\n{line}\r\n".encode())
    assert answer.status == 200


CLOSED = "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/version", 200),
        ("GET", "/.well-known/jwks.json", 200),
        ("GET", "/schema", 200),
        ("GET", "/schema/openapi.json", 200),
        ("GET", "/schema/swagger-ui.css", 200),
        ("GET", "/schema/schema.js", 200),
        ("GET", "/errors/not_found", 200),
        ("OPTIONS", "/register", 204),
        ("POST", "/revoke", 200),
        ("POST", "/register", 415),
        ("POST", "/authenticate", 415),
        ("GET", "/me", 401),
        ("GET", "/users", 401),
        ("DELETE", "/sessions", 401),
        ("GET", "/nothing", 404),
        ("DELETE", "/refresh", 405),
    ],
)
def test_every_answer_has_the_security_headers(server, method, path, status) -> None:
    """Security rule 24."""
    revoking = path == "/revoke"
    body = json.dumps(POSTS["/revoke"]).encode() if revoking else None
    answer = server.ask(method, path, body, JSON if revoking else {})
    assert answer.status == status
    headers = answer.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["strict-transport-security"].startswith("max-age=")
    assert len(headers["x-request-id"]) == 32
    assert "server" not in headers
    assert ("access-control-allow-origin" in headers) == path.endswith("jwks.json")
    policy = headers["content-security-policy"]
    if path == "/schema":
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
    else:
        assert policy == CLOSED
