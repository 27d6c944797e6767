"""The comparison of rules for rotating: fresh, and led by the rules that it names."""

from __future__ import annotations

import pytest

from app.web.docs_files import pictures
from tests.simulation import comparison_page
from tests.simulation.compared import PAGE, PICTURE, ROOT, Figures, figures, read
from tests.simulation.rotations import KINDS, Kind, Verdict

OURS = Kind("ours", 60, ours=True)
ONCE = Kind("once", 0)
TEN = Kind("ten", 10)
PREVIOUS = Kind("previous", 1e12)


def test_page_and_picture_are_made_of_the_kept_figures() -> None:
    """`python -m tests.simulation.compared` writes them anew."""
    found = read()
    assert [each.name for each in found] == [kind.name for kind in KINDS]
    assert PAGE.read_text(encoding="utf-8") == comparison_page.page(found)
    assert PICTURE.read_text(encoding="utf-8") == comparison_page.picture(found)
    assert PICTURE.relative_to(ROOT).as_posix() in pictures(ROOT)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_kept_figures_are_what_the_rules_come_to(kind: Kind) -> None:
    assert figures(kind) in read()


def some(kind: Kind) -> Figures:
    """Of a few, which is enough to tell rules apart that differ much."""
    return figures(kind, clients=8, thefts=12)


def test_patience_logs_out_fewer_and_lets_thieves_stay() -> None:
    once, ours, previous = (some(kind) for kind in (ONCE, OURS, PREVIOUS))
    assert once.log_outs > ours.log_outs >= previous.log_outs
    assert ours.got_in > 0
    assert previous.median_s > ours.median_s
    assert some(OURS) == ours


@pytest.mark.parametrize(
    ("kind", "after_5_s", "after_30_s", "after_2_min"),
    [
        (OURS, "good", "good", "over"),
        (ONCE, "over", "over", "over"),
        (TEN, "good", "over", "over"),
        (PREVIOUS, "good", "good", "good"),
    ],
    ids=lambda each: each.name if isinstance(each, Kind) else each,
)
def test_the_token_before_the_newest_is_good_as_long_as_the_rules_say(
    kind: Kind, after_5_s: Verdict, after_30_s: Verdict, after_2_min: Verdict
) -> None:
    for wait, verdict in ((5, after_5_s), (30, after_30_s), (120, after_2_min)):
        session = kind.begin(0)
        assert session.show(1, 1_000) == "good"
        assert session.show(1, 1_000 + wait) == verdict
        assert session.show(2, 1_001 + wait) == ("over" if verdict == "over" else "good")


@pytest.mark.parametrize("kind", [OURS, ONCE, TEN, PREVIOUS], ids=lambda kind: kind.name)
def test_an_older_token_ends_the_session_under_all_rules(kind: Kind) -> None:
    session = kind.begin(0)
    assert [session.show(each, 100.0 * each) for each in (1, 2, 3)] == ["good"] * 3
    assert session.show(1, 301) == "over"
    assert session.show(4, 302) == "over"
