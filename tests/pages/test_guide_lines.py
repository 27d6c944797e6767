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
    from pathlib import Path

ENDINGS = {"curl": "sh", "python": "py", "javascript": "mjs"}
HARD_SECRET = """ "moth" in 'relay' \\70\\\\ $HOME `id` $(id) é """
"""Of everything that means something to a shell, or in JSON."""
_BLOCK = re.compile(r"<pre[^>]*><code>(.*?)</code></pre>", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")
_TOKENS = re.compile(r"eyJ[\w.-]+|gbr_\w{77}")


def commands(language: str, folder: Path) -> list[str]:
    """What runs a file of the language; its client is there."""
    if language == "python":
        return [sys.executable, "-W", "error"]
    if language == "javascript":
        node = package.built()
        (folder / "node_modules").mkdir(exist_ok=True)
        client = folder / "node_modules" / "gatebook-client"
        if not client.exists():
            client.symlink_to(package.FOLDER)
        return [node]
    if shutil.which("curl") is None:
        pytest.skip("There is no curl here: the guide's lines for it were NOT tried.")
    return ["/bin/sh", "-eu"]


def done(language: str, folder: Path, step: str, lines: str, **secrets: str) -> str:
    """What these lines print, with secrets and tokens in the environment as the page says."""
    kept = {each: os.environ[each] for each in ("PATH", "TMPDIR") if each in os.environ}
    given = {"PYTHONPATH": str(ROOT / "clients" / "python"), "NO_PROXY": "*", "HOME": str(folder)}
    file = folder / f"{step}.{ENDINGS[language]}"
    file.write_text(lines, encoding="utf-8")
    ended = subprocess.run(
        [*commands(language, folder), file.name],
        cwd=folder,
        env={**kept, **given, **secrets},
        capture_output=True,
        text=True,
        timeout=PATIENCE * 4,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(SECRET, id="plain", marks=pytest.mark.long),
        pytest.param(HARD_SECRET, id="hard"),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_step_s_lines_do_what_the_step_does(
    stranger: Visit, tmp_path: Path, language: str, secret: str
) -> None:
    """With what a visitor's page would fill in, whatever the secret is."""
    name, secrets = new_name(), {"USER_SECRET": secret}

    def run(step: str, user_key: str = "") -> str:
        known = {"url": stranger.origin, "user_id": name, "user_key": user_key}
        printed = done(language, tmp_path, step, filled(SNIPPETS[step][language], known), **secrets)
        for token in _TOKENS.findall(printed):
            secrets["ACCESS_TOKEN" if token.startswith("eyJ") else "REFRESH_TOKEN"] = token
        return printed

    found = KEY.search(run("register"))
    assert found
    key = found[0]
    credentials = {"user_key": key, "user_secret": secret}
    assert len(_TOKENS.findall(run("authenticate", key))) == 2
    assert len(_TOKENS.findall(run("refresh", key))) == 1
    assert name in run("use", key)
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


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_name_of_quotes_and_signs_is_a_literal_of_each_language(
    guide: Guide, stranger: Visit, tmp_path: Path, language: str
) -> None:
    """The lines as the page shows them register just this name, whatever is in it."""
    name = f"{language}'s" + r"""o'hara"$HOME`id`$(id)\n\\\<END&{x}%sé"""
    guide.page.fill("#register-user_id", name)
    lines = guide.page.locator(f"#register-{language} code").text_content()
    assert lines
    found = KEY.search(done(language, tmp_path, "register", lines, USER_SECRET=HARD_SECRET))
    assert found
    asked = {"user_id": name, "user_secret": HARD_SECRET}
    answer = stranger.client.post("/userkey", json=asked)
    assert answer.json() == {"user_key": found[0]}


@pytest.mark.long
def test_what_is_not_a_name_stays_an_example(guide: Guide) -> None:
    guide.page.fill("#register-user_id", "grace")
    guide.page.fill("#register-user_id", "")
    known = {"url": guide.window.origin, **EXAMPLES}
    for language, text in SNIPPETS["register"].items():
        found = guide.page.locator(f"#register-{language} code").text_content()
        assert found == filled(text, known)


@pytest.mark.long
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
