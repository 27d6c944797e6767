"""Log lines: one a record, readable by programs, and without secrets."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import warnings
from typing import Literal

import pytest
import structlog

from app.logs import Lines, Timestamp, configure

NOW = 1_795_453_712_000_001  # 2026-11-23T17:08:32.000001Z
TIME = "2026-11-23T17:08:32.000001Z"
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnLWNhbmFyeQ"
TOKEN = "gbr_" + "canary" * 12 + "12345"
BREAKS = "\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x1b[2J\x9b\x7f\x00"


@pytest.fixture(autouse=True)
def _restore():
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    named = [logging.getLogger(name) for name in ("uvicorn.error", "uvicorn.access")]
    states = [(logger.handlers[:], logger.level, logger.propagate) for logger in named]
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = before
    for logger, (handlers, level, propagate) in zip(named, states, strict=True):
        logger.handlers[:], logger.level, logger.propagate = handlers, level, propagate
    structlog.reset_defaults()


class Written:
    """What was logged since, through a stream with the layers that stderr has."""

    def __init__(self, log_format: Literal["console", "json"]) -> None:
        self._bytes = io.BytesIO()
        stream = io.TextIOWrapper(self._bytes, encoding="utf-8")
        self._stream = stream
        self.request = configure(log_format, stream, clock=lambda: NOW)

    def text(self) -> str:
        return self._bytes.getvalue().decode()

    def lines(self) -> list[str]:
        return self.text().splitlines()

    def records(self) -> list[dict]:
        return [json.loads(line) for line in self.lines()]


@pytest.fixture(params=["json", "console"])
def written(request):
    return Written(request.param)


@pytest.fixture
def as_json():
    return Written("json")


def test_a_record_is_one_json_object_with_the_time_first(as_json):
    structlog.get_logger().info("started", port=8000, quick=True, ratio=0.5, none=None)
    assert as_json.records() == [
        {
            "time": TIME,
            "level": "info",
            "event": "started",
            "port": 8000,
            "quick": True,
            "ratio": 0.5,
            "none": None,
        }
    ]
    assert next(iter(as_json.records()[0])) == "time"


def test_a_request_has_these_members_and_no_others(as_json):
    """Security rule 19."""
    as_json.request("0" * 32, "GET", "/users/{user_key}", 200, 1.23456, "uk_1")
    as_json.request("1" * 32, "POST", None, 503, 2000.0, None)
    assert as_json.records() == [
        {
            "time": TIME,
            "level": "info",
            "event": "request",
            "request_id": "0" * 32,
            "method": "GET",
            "route": "/users/{user_key}",
            "status": 200,
            "duration_ms": 1.235,
            "user_key": "uk_1",
        },
        {
            "time": TIME,
            "level": "error",
            "event": "request",
            "request_id": "1" * 32,
            "method": "POST",
            "route": None,
            "status": 503,
            "duration_ms": 2000.0,
            "user_key": None,
        },
    ]


def test_every_line_is_spaced_alike(as_json):
    structlog.get_logger().info("started", several=["a", "b"], nested={"port": 8000})
    as_json.request("0" * 32, "GET", "/me", 200, 1.5, "uk_1")
    tight = [json.dumps(record, separators=(",", ":")) for record in as_json.records()]
    assert as_json.lines() == tight


def test_the_console_shows_the_same_for_a_person():
    written = Written("console")
    structlog.get_logger().warning("a key is old", kid="abc", note='two "words"', empty="")
    written.request("0" * 32, "GET", "/me", 200, 1.5, "uk_1")
    assert written.lines() == [
        f'{TIME} warning a key is old kid=abc note="two \\"words\\"" empty=""',
        f"{TIME} info    request GET /me 200 1.5ms user_key=uk_1 request_id={'0' * 32}",
    ]


def test_line_breaks_and_escapes_in_values_appear_escaped(written):
    """Security rule 21."""
    hostile = f"ada{BREAKS}forged"
    structlog.get_logger().info(hostile, note=hostile, several=[hostile], **{hostile: hostile})
    logging.getLogger("app").info("%s", hostile)
    assert len(written.lines()) == 2
    for line in written.lines():
        assert line.isascii()
        assert line.isprintable()
        assert "\\u2028" in line
        assert "\\u001b" in line


def test_a_traceback_stays_on_its_line(written):
    """Security rule 21."""
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("litestar").exception("failed too")
    assert len(written.lines()) == 2
    for line in written.lines():
        assert "Traceback (most recent call last):\\n" in line
        assert "ValueError: broken\\nin two" in line


def test_lone_surrogates_and_odd_objects_can_be_logged(written):
    structlog.get_logger().info("\ud800", value=b"\xff", thing=object())
    assert len(written.lines()) == 1


@pytest.mark.parametrize(
    "name",
    [
        "user_secret",
        "access_token",
        "refresh_token",
        "Password",
        "master_key",
        "private_key",
        "Authorization",
        "set-cookie",
        "client_secret",
    ],
)
def test_what_has_the_name_of_a_secret_is_masked(written, name):
    """Security rule 19."""
    log = structlog.get_logger()
    log.info("x", **{name: "canary"})
    log.info("x", body={name: "canary", "inner": [{name: ["canary"]}]})
    log.info("x", **{name: {"canary": 1}})
    assert "canary" not in written.text()
    assert written.text().count("***") == 4


def test_a_user_key_is_no_secret(as_json):
    structlog.get_logger().info("x", user_key="uk_1")
    assert as_json.records()[0]["user_key"] == "uk_1"


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        JWT,
        "eyJhbGciOiJub25lIn0.canary.",
        "Authorization: Bearer canary",
        "authorization: canary, canary",
        "(b'authorization', b'canary')",
        "Cookie: a=canary; gatebook=canary",
        "Basic Y2FuYXJ5canary==",
        "bearer canary",
        "$argon2id$v=19$m=8,t=1,p=1$canary$canary",
        "postgresql://me:canary@h/db",
        "-----BEGIN PRIVATE KEY-----\ncanary\ncanary\n-----END PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\ncanary",
        "Authenticate(user_key='uk_1', user_secret='canary')",
        '{"user_secret": "can\\"canary", "x": 1}',
        '{"new_user_secret":"canary canary"}',
        "grant_type=x&client_secret=canary",
        "GATEBOOK_MASTER_KEY=canary",
    ],
)
def test_what_looks_like_a_secret_is_masked_wherever_it_stands(written, text):
    """Security rule 19."""
    log = structlog.get_logger()
    log.info("before " + text)  # noqa: G003 - as careless code would
    log.info("x", note=f"before {text}", several=[text], nested={"note": {"deep": (text,)}})
    log.info("x", thing=Exception(text), raw=text.encode())
    logging.getLogger("litestar").warning("before %s", text)
    try:
        raise RuntimeError(text)
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("uvicorn.error").exception("failed")
    assert len(written.lines()) == 6
    assert "canary" not in written.text()
    assert "Y2FuYXJ5" not in written.text()


def test_the_standard_librarys_loggers_take_the_same_way(as_json):
    logging.getLogger("litestar").warning("low on %s", "disk")
    assert as_json.records() == [
        {"time": TIME, "level": "warning", "event": "low on disk", "logger": "litestar"}
    ]


def test_what_uvicorn_says_of_itself_is_kept_from_warnings_on_and_its_access_log_is_off(written):
    """Security rule 19."""
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.access").info("127.0.0.1 GET /canary")
    logging.getLogger("uvicorn.access").critical("127.0.0.1 GET /canary")
    assert written.text() == ""
    logging.getLogger("uvicorn.error").error("boom")
    assert len(written.lines()) == 1


def test_a_record_that_cannot_be_formatted_fails_nobody(as_json):
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if "app.logs" in repr(type(handler))]
    logging.getLogger("app").info("%d", "not a number")
    logging.getLogger("app").log(25, "between the levels")
    first, second = as_json.records()
    assert first["event"] == "log_record_not_written"
    assert (second["event"], second["level"]) == ("between the levels", "info")


def test_a_warning_is_a_record(as_json):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old\nways", DeprecationWarning, stacklevel=1)
    (record,) = as_json.records()
    assert record["logger"] == "py.warnings"
    assert "old\nways" in record["event"]


def test_a_stream_without_bytes_below_takes_lines_too():
    stream = io.StringIO()
    configure("json", stream, clock=lambda: NOW)("0" * 32, "GET", None, 404, 0.1, None)
    assert json.loads(stream.getvalue())["status"] == 404


def test_a_log_that_cannot_be_written_stops_nobody():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        Lines(stream).write(b"lost\n")


def test_a_line_cut_off_by_a_full_pipe_never_swallows_the_next():
    """Security rule 21."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    with os.fdopen(writing, "w") as stream, os.fdopen(reading, "rb") as pipe:
        lines = Lines(stream)
        lines.write(b"a" * 1_000_000 + b"\n")
        lines.write(b"b\n")
        pipe.read(500_000)
        lines.write(b"c\n")
        rest = pipe.read(500_000)
    assert rest.endswith(b"\nc\n")
    assert b"b" not in rest


def test_times_have_six_decimals_also_when_the_second_changes():
    timestamp = Timestamp()
    assert timestamp(NOW) == TIME
    assert timestamp(NOW + 999_998) == "2026-11-23T17:08:32.999999Z"
    assert timestamp(NOW + 999_999) == "2026-11-23T17:08:33.000000Z"
    assert timestamp(0) == "1970-01-01T00:00:00.000000Z"


def test_stderr_is_where_lines_go_unless_told_otherwise(capfd):
    assert sys.stderr is not None
    configure("console", clock=lambda: NOW)
    structlog.get_logger().info("hello")
    assert capfd.readouterr().err == f"{TIME} info    hello\n"
