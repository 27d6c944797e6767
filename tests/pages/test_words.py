"""What programs call themselves, in short."""

from __future__ import annotations

import pytest

from app.web.program import UNKNOWN, program

_SAFARI = "(KHTML, like Gecko) Version/18.0 Safari/605.1.15"


@pytest.mark.parametrize(
    ("user_agent", "said"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140 Safari/537.36 Edg/140",
            "Edge on Windows",
        ),
        (
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X 14) AppleWebKit/605.1.15 {_SAFARI}",
            "Safari on macOS",
        ),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) {_SAFARI}", "Safari on iPhone"),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        ("curl/8.9.1", "curl/8.9.1"),
        ("python-httpx/0.28.1 (extra)", "python-httpx/0.28.1"),
        ("Mozilla/5.0 (nothing known)", "Mozilla/5.0"),
        ("x" * 300, "x" * 48),
        ("   ", UNKNOWN),
        ("", UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_a_program_is_named_shortly(user_agent: str | None, said: str) -> None:
    assert program(user_agent) == said
