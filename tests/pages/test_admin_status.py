"""/admin and /admin/status: what happened day by day, and whether all is well."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from app.activity import days
from projections.daily_activity import DAY, DayRow
from tests.store.intruding import intrude
from tests.waiting import until

if TYPE_CHECKING:
    from tests.pages.house import House


def totals(text: str) -> dict[str, int]:
    found = re.findall(r'aria-label="([A-Z][a-z ]+): (\d+) in 30 days', text)
    return {name: int(number) for name, number in found}


def test_the_days_are_those_of_the_view_in_bars_and_in_a_table(any_house: House) -> None:
    admin = any_house.somebody("admin")
    before = totals(admin.page("/admin"))
    assert set(before) == {
        "Registrations", "Logins", "Failed logins", "Recorded uses", "Ended sessions",
    }  # fmt: skip
    for _ in range(3):
        any_house.people.new().ask("DELETE", "/sessions")
    with any_house.people.store() as store, store.snapshot() as rows:
        ((told,),) = rows.fetch("SELECT count(*) FROM events WHERE topic = 'refresh_token.revoked'")
    text = until(
        lambda: admin.page("/admin"),
        lambda found: f"Ended sessions: {told} in 30 days" in found,
    )
    table = re.search(r"<tbody>(.*?)</tbody>", text, re.DOTALL)
    assert table
    assert table[1].count("<tr>") == 30
    today = re.findall(r'class="number">(\d+)</td>', table[1].partition("</tr>")[0])
    assert [int(each) for each in today] == list(totals(text).values())
    assert text.count("<rect") == sum(1 for each in totals(text).values() if each)


def test_days_without_anything_are_told_as_such(any_house: House) -> None:
    with any_house.people.store() as store, store.snapshot() as rows:
        found = days(rows, 40 * DAY + 5, 30)
    assert [each.day for each in found] == list(range(11, 41))
    assert {each[1:] for each in found} == {(0, 0, 0, 0, 0)}
    assert isinstance(found[0], DayRow)


def test_the_findings_are_doctor_s_with_what_to_do(any_house: House) -> None:
    admin = any_house.somebody("admin")
    text = admin.page("/admin/status")
    checks = re.findall(r"</span> <strong>([^<]+)</strong></p>", text)
    assert {
        "settings", "proxies", "store", "views", "clock", "keys", "guards", "durability",
        "signing key", "administrator", "erasures", "last event",
    } <= set(checks)  # fmt: skip
    assert checks.count("last event") == 3
    assert "Something is wrong" not in text
    version = any_house.people.client.get("/version").json()
    assert version["log_id"] in text
    assert version["version"] in text
    for figure in ("Commands waiting", "Secrets waiting", "Throttled", "Wrong secrets"):
        assert f"<dt>{figure}</dt>" in text


def test_what_is_wrong_comes_first(any_house: House) -> None:
    admin = any_house.somebody("admin")
    url = any_house.people.settings.database_url
    with intrude(url) as intruder:
        sql = "UPDATE views SET error_position = ?, error_type = ?, error_detail = ? WHERE name = ?"
        intruder.run(sql, (2, "rebuild.differs", "canary differs", "revocations"))
        text = admin.page("/admin/status")
        intruder.run(sql, (None, None, None, "revocations"))
    first = text.partition('id="findings">')[2]
    assert "revocations could not be rebuilt" in first.partition("</li>")[0]
    assert "with warnings" in text
    assert "--accept" in text


def test_refused_secrets_are_counted(any_house: House) -> None:
    admin = any_house.somebody("admin")

    def wrong() -> int:
        found = re.search(r"<dt>Wrong secrets</dt><dd><strong>(\d+)", admin.page("/admin/status"))
        assert found
        return int(found[1])

    before = wrong()
    body = {"user_key": admin.user_key, "user_secret": "not this one, no"}
    assert any_house.people.client.post("/authenticate", json=body).status_code == 401
    assert wrong() == before + 1


def test_each_figure_is_what_metrics_say(any_house: House) -> None:
    admin, client = any_house.somebody("admin"), any_house.people.client
    watching, following = "/web/live", "/revocations/stream"
    with (
        client.stream("GET", watching) as first,
        client.stream("GET", watching) as second,
        client.stream("GET", following) as third,
    ):
        assert {each.status_code for each in (first, second, third)} == {200}
        page, metrics = admin.page("/admin/status"), client.get("/metrics").text
        for name, metric, wanted in (
            ("Live streams", "gatebook_live_streams", "2"),
            ("Revocation streams", "gatebook_revocation_streams", "1"),
            ("Commands waiting", "gatebook_command_queue", "0"),
            ("Secrets waiting", "gatebook_hash_queue", "0"),
        ):
            assert f"<dt>{name}</dt><dd><strong>{wanted}</strong>" in page
            assert f"\n{metric} {wanted}.0\n" in metrics


def test_nothing_secret_is_on_it(any_house: House) -> None:
    """Security rules 19 and 20."""
    admin = any_house.somebody("admin")
    text = admin.page("/admin/status") + admin.page("/admin") + admin.page("/admin/projections")
    key = any_house.people.settings.master_key or b""
    assert key.hex() not in text
    assert not re.search(r"gbr_|eyJ|password|AAECAwQF", text)
