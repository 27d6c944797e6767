"""What the page of OAuth clients shows for Node runs there; `tests/docs` tries the rest of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, read
from tests.docs.session import ADDRESS
from tests.oauth_clients import on_node
from tests.oauth_clients.program import Program

PAGE = DOCS / "how-to" / "use-oauth-clients.md"
SHOWN = re.findall(r"^~~~javascript\n(.*?)^~~~$", read(PAGE), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("library", ["openid-client", "oauth4webapi"])
def test_what_the_page_shows_for_node_runs(program: Program, tmp_path: Path, library: str) -> None:
    (shown,) = (each for each in SHOWN if f"from '{library}'" in each)
    (tmp_path / "node_modules").symlink_to(on_node.PACKAGES)
    script = tmp_path / "shown.mjs"
    script.write_text(shown.replace(f"http://{ADDRESS}", program.issuer), encoding="utf-8")
    done = on_node.run(
        on_node.found(), script, CLIENT_ID=program.client_id, CLIENT_SECRET=program.secret
    )
    assert done == (0, "true\n")


def test_no_javascript_is_shown_that_is_not_run() -> None:
    assert len(SHOWN) == 2 == read(PAGE).count("~~~javascript")
