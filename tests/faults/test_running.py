"""The tests' own server: it takes orders that the product ignores, and no other server's."""

from __future__ import annotations

import pytest

from tests.running import Server, running, settings


def test_it_serves_and_stops_in_order(sqlite_url: str) -> None:
    with running(settings(sqlite_url)) as server:
        assert server.stop() == 0
    assert b"serving" in server.said


def test_as_a_program_it_is_the_product_without_what_tests_switch_on(sqlite_url: str) -> None:
    with running(settings(sqlite_url, TEST_LENIENT="1"), as_program=True) as server:
        assert server.stop() == 0
    assert b"serving" in server.said


def test_one_that_can_not_start_says_why(sqlite_url: str) -> None:
    server = Server(settings(sqlite_url, HASH_TIMES="1"))
    with pytest.raises(RuntimeError, match="Did you mean GATEBOOK_HASH_TIME"):
        _ = server.port
