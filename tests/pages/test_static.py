"""What pages load: from here, as it is, and kept for ever by a name that is of one content."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from app.web.asset import assets
from app.web.wording import WORDS
from domain.catalogue import EVENTS

if TYPE_CHECKING:
    from tests.pages.visits import Visit

WEB = Path(__file__).parents[2] / "app" / "web"
HTMX = "2.0.11"


def test_what_a_page_loads_is_kept_for_ever(stranger: Visit) -> None:
    text = stranger.get("/").text
    loaded = set(re.findall(r'(?:src|href)="(/web/static/[^"]*)"', text))
    assert {path.rpartition(".")[2] for path in loaded} == {"css", "js", "svg"}
    for path in loaded:
        answer = stranger.get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert hashlib.sha256(answer.content).hexdigest().startswith(path.split(".")[-2])
        stale = re.sub(r"[0-9a-f]{16}", "0" * 16, path)
        assert stranger.get(stale).status_code == 404


def test_nothing_else_is_served(stranger: Visit) -> None:
    for name in ("gatebook.css", "LICENSE", "README.md", "..%2fasset.py", "htmx%2fhtmx.min.js"):
        assert stranger.get(f"/web/static/{name}").status_code == 404


def test_no_file_names_another_host_and_none_makes_code_of_text() -> None:
    for name, each in assets().items():
        text = each.content.decode()
        if name == "htmx.min.js":
            continue
        hosts = {*re.findall(r"https?://[^\s\"')]+", text)} - {"http://www.w3.org/2000/svg"}
        assert hosts == set(), name
        assert not re.search(r"\beval\(|\bnew Function\b|innerHTML|@import|url\(", text), name


def test_no_template_has_a_script_or_a_style_in_it() -> None:
    """Security rule 24."""
    for path in (WEB / "templates").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        if path.name == "docs.html":  # of the documentation, in which there is no HTML
            text = text.replace("{{ shown.html | safe }}", "")
        assert not re.search(r"<style|\sstyle=|\son\w+=|\|\s*safe\b|hx-on|hx-vals=.js", text), path
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), path
        assert not re.search(r"\b(?:src|href|action)=\"(?:https?:)?//", text), path


def test_no_part_of_the_style_sheet_means_something_else_by_the_name_of_another() -> None:
    sheet = (WEB / "static" / "gatebook.css").read_text(encoding="utf-8")
    parts = re.split(r"^/\* .* \*/$", sheet, flags=re.MULTILINE)
    assert len(parts) > 4
    named = [set(re.findall(r"^(\.[\w-]+) \{", part, re.MULTILINE)) for part in parts]
    every = [name for part in named for name in part]
    assert sorted(every) == sorted(set(every))
    moves = re.findall(r"@keyframes ([\w-]+)", sheet)
    assert sorted(moves) == sorted(set(moves))


def test_the_vendored_file_is_the_released_one() -> None:
    folder = WEB / "static" / "htmx"
    assert f"Version {HTMX} " in (folder / "README.md").read_text(encoding="utf-8")
    assert f'version:"{HTMX}"' in (folder / "htmx.min.js").read_text(encoding="utf-8")
    assert "Zero-Clause BSD" in (folder / "LICENSE").read_text(encoding="utf-8")


def test_everything_that_happens_to_a_user_has_words() -> None:
    of_users = {name for name in EVENTS if name.startswith(("user.", "refresh_token."))}
    assert set(WORDS) == of_users
