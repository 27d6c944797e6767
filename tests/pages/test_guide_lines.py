"""The guide's lines for curl, Python and JavaScript do what it says, just as they are shown."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from app.web.snippet import EXAMPLES, LANGUAGES, SNIPPETS, filled
from app.web.wording import WORDS
from tests.clients_javascript import package
from tests.docs.pages import DOCS, ROOT, anchors
from tests.http.steps import SECRET
from tests.http.steps import USER_KEY as KEY
from tests.pages.guiding import BUTTONS, Guide
from tests.pages.visits import PATIENCE, Visit, new_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[[str, str], str]

ENDINGS = {"curl": "sh", "python": "py", "javascript": "mjs"}
_BLOCK = re.compile(r"<pre[^>]*><code>(.*?)</code></pre>", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")
_TOKENS = re.compile(r"eyJ[\w.-]+|gbr_\w{77}")


def commands(language: str, folder: Path) -> list[str]:
    """What runs a file of the language; its client is there."""
    if language == "python":
        return [sys.executable, "-W", "error"]
    if language == "javascript":
        node = package.built()
        (folder / "node_modules").mkdir()
        (folder / "node_modules" / "gatebook-client").symlink_to(package.FOLDER)
        return [node]
    if shutil.which("curl") is None:
        pytest.skip("There is no curl here: the guide's lines for it were NOT tried.")
    return ["/bin/sh", "-eu"]


@pytest.fixture(params=LANGUAGES)
def run(request: pytest.FixtureRequest, stranger: Visit, tmp_path: Path) -> Run:
    """Runs a step's lines, with what a visitor's page would fill in, and what it prints.

    A secret or token comes in the environment, as the page says.
    """
    language = request.param
    command = commands(language, tmp_path)
    name = new_name()
    known = {"url": stranger.origin, "user_id": name, "user_key": ""}
    kept = {each: os.environ[each] for each in ("PATH", "TMPDIR") if each in os.environ}
    given = {"PYTHONPATH": str(ROOT / "clients" / "python"), "NO_PROXY": "*", "HOME": str(tmp_path)}
    secrets = {"USER_SECRET": SECRET}

    def run(step: str, user_key: str) -> str:
        file = tmp_path / f"{step}.{ENDINGS[language]}"
        lines = filled(SNIPPETS[step][language], {**known, "user_key": user_key})
        file.write_text(lines, encoding="utf-8")
        done = subprocess.run(
            [*command, file.name],
            cwd=tmp_path,
            env={**kept, **given, **secrets},
            capture_output=True,
            text=True,
            timeout=PATIENCE * 4,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for token in _TOKENS.findall(done.stdout):
            secrets["ACCESS_TOKEN" if token.startswith("eyJ") else "REFRESH_TOKEN"] = token
        return done.stdout

    run.name = name  # type: ignore[attr-defined]
    return run


def test_every_step_s_lines_do_what_the_step_does(run: Run, stranger: Visit) -> None:
    found = KEY.search(run("register", ""))
    assert found
    key = found[0]
    credentials = {"user_key": key, "user_secret": SECRET}
    assert len(_TOKENS.findall(run("authenticate", key))) == 2
    assert len(_TOKENS.findall(run("refresh", key))) == 1
    assert run.name in run("use", key)  # type: ignore[attr-defined]
    assert run("leak", key).count("reused") == 2
    assert stranger.client.post("/authenticate", json=credentials).status_code == 200
    run("authenticate", key)
    run("erase", key)
    assert stranger.client.post("/authenticate", json=credentials).status_code == 401


def shown(page: str) -> list[str]:
    """The lines on the page, as one reads them."""
    return [html.unescape(_TAG.sub("", each)) for each in _BLOCK.findall(page)]


def test_the_page_shows_these_lines_with_what_is_an_example(stranger: Visit) -> None:
    known = {"url": "http://127.0.0.1", **EXAMPLES}
    wanted = [filled(text, known) for each in SNIPPETS.values() for text in each.values()]
    found = shown(stranger.get("/").text)
    assert sorted(found) == sorted(each for each in wanted)
    assert len(found) == len(SNIPPETS) * len(LANGUAGES)


def test_what_may_be_read_is_filled_in_and_secrets_never_are(guide: Guide) -> None:
    page = guide.page
    guide.window.expected = {"401"}
    key = guide.register()
    for step in list(BUTTONS)[1:]:
        guide.press(step)
    known = {"url": guide.window.origin, "user_id": guide.name, "user_key": key}
    wanted = [filled(text, known) for each in SNIPPETS.values() for text in each.values()]
    found = page.locator("[data-tab] code").all_text_contents()
    assert sorted(found) == sorted(wanted)
    assert not any(SECRET in each or _TOKENS.search(each) for each in found)


@pytest.mark.parametrize("name", ["o'hara", '"', "a$b", "a`b", "a\\b", "<END"])
def test_a_name_that_means_something_to_a_shell_stays_out(guide: Guide, name: str) -> None:
    guide.page.fill("#register-user_id", name)
    known = {"url": guide.window.origin, **EXAMPLES}
    for language, text in SNIPPETS["register"].items():
        found = guide.page.locator(f"#register-{language} code").text_content()
        assert found == filled(text, known)


def test_lines_are_copied(guide: Guide) -> None:
    page = guide.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    guide.fill()
    page.locator("#register-curl .copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    known = {"url": guide.window.origin, "user_id": guide.name}
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == filled(SNIPPETS["register"]["curl"], known)
    guide.until("authenticate")
    guide.page.get_by_role("button", name="Copy the refresh_token").click()
    assert _TOKENS.fullmatch(page.evaluate("navigator.clipboard.readText()"))


def test_every_link_into_the_documentation_leads_to_a_page(stranger: Visit) -> None:
    found = re.findall(r'href="/docs/([^"#]+)"', stranger.get("/").text)
    assert {f"{each}.md" for each in found} <= {
        each.relative_to(DOCS).as_posix() for each in DOCS.rglob("*.md")
    }
    assert len(found) >= 4
    named = anchors(DOCS / "reference" / "events.md")
    assert {each.replace(".", "") for each in WORDS} <= named


def test_without_scripts_it_is_all_there_to_read(browse) -> None:
    page = browse.window(javascript=False).go("/")
    assert page.get_by_text("To try it on this page takes JavaScript.").is_visible()
    lines = page.locator("[data-tab] pre")
    assert lines.count() == len(SNIPPETS) * len(LANGUAGES)
    assert all(each.is_visible() for each in lines.all())
    assert not any(each.is_visible() for each in page.locator("main form").all())
    assert not any(each.is_visible() for each in page.locator("main button").all())
    page.get_by_text("Each member, and what it means").click()
    assert page.get_by_text("when it is over", exact=True).is_visible()
    page.locator(".notice").get_by_role("link", name="Registering").click()
    page.wait_for_url("**/register")
