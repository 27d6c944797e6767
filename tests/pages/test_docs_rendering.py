"""The documentation as HTML: what a text becomes, and where its links lead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.web.docs_files import files, pictures, root, target
from app.web.docs_library import Library
from app.web.markdown import Part, anchor, render
from tests.docs.pages import PAGES, ROOT, anchors, name

HREF = re.compile(r'<a(?: class="anchor")? href="([^"]*)">')
SHOWN = re.compile(r'<img src="([^"]*)" alt="[^"]+">')
ID = re.compile(r' id="([^"]+)"')


def html(text: str) -> str:
    """The text, with links as they are."""
    return render(text, lambda link: link).html


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(ROOT)


def test_html_in_a_text_is_shown_and_not_obeyed() -> None:
    made = html('<script>alert(1)</script>\n\nand <b onclick="x">this</b> <!-- or that -->')
    assert "<script" not in made
    assert "<b " not in made
    assert "&lt;script&gt;" in made


@pytest.mark.parametrize("scheme", ["javascript:alert(1)", "data:text/html,x", "vbscript:x"])
def test_a_link_that_is_a_program_is_none(scheme: str) -> None:
    assert "<a" not in html(f"[here]({scheme})")


def test_a_link_that_leads_nowhere_is_none() -> None:
    assert render("[here](there.md)", lambda _: "").html == "<p><a>here</a></p>\n"


def test_what_a_link_says_is_escaped() -> None:
    assert render("[x](y)", lambda _: '"><script>').html.count("<script") == 0


def test_code_is_coloured_by_classes_alone() -> None:
    made = html(
        '```python\nreturn "<b>"\n```\n\n```sh\necho "$x"\n```\n\n```nginx\nlisten 1;\n```\n'
    )
    assert '<span class="hl-k">return</span>' in made
    assert "&lt;b&gt;" in made
    assert "style" not in made


@pytest.mark.parametrize("language", ["", "text", "no-such-language"])
def test_code_of_no_language_is_plain(language: str) -> None:
    made = html(f"```{language}\nif <b>\n```\n")
    assert "if &lt;b&gt;" in made
    assert "<span" not in made


def test_a_heading_is_linked_by_its_name_and_a_second_one_of_it_by_a_number() -> None:
    made = render("# A `b.c` d\n\none\n\n## Same\n\ntwo\n\n## Same\n\n```sh\nthree\n```\n", str)
    assert made.parts == [
        Part(1, "a-bc-d", "A b.c d", "one"),
        Part(2, "same", "Same", "two"),
        Part(2, "same-1", "Same", "three"),
    ]
    assert '<h2 id="same-1"><a class="anchor" href="#same-1">Same</a></h2>' in made.html


def test_a_column_without_a_name_has_no_heading() -> None:
    made = html("| | b |\n| --- | --- |\n| c | d |\n")
    assert made.count('<th role="columnheader">') == made.count("</th>") == 1
    assert made.count("<td ") == made.count("</td>") == 3


def test_a_cell_names_its_column_but_for_the_first() -> None:
    """Where there is little room cells stand one below another."""
    made = html('| a | `b` "c" |\n| --- | --- |\n| d | e |\n| f | g |\n')
    assert made.count('<td role="cell">') == 2
    assert made.count('<td role="cell" data-label="b &quot;c&quot;">') == 2


def test_a_link_is_followed_from_its_file() -> None:
    assert target("docs/how-to/a.md", "../adr/b.md#c") == ("docs/adr/b.md", "c")
    assert target("docs/how-to/a.md", "#c") == ("docs/how-to/a.md", "c")
    assert target("docs/README.md", "../README.md") == ("README.md", "")


def test_every_page_is_there_with_its_title(library: Library) -> None:
    assert {name(page) for page in PAGES} < {each.name for each in files(root())}
    assert len(library.pages) == len(files(ROOT))
    assert library.pages["/docs"].title == "Documentation"
    assert library.pages["/docs/adr"].title == "Decisions"
    assert library.pages["/docs/how-to/change-keys"].title == "Change keys"
    assert library.pages["/docs/project/licence"].title == "Licence"


def test_the_side_has_every_page_once_in_the_order_of_the_map(library: Library) -> None:
    shown = [page.file.path for section in library.sections for page in section.pages]
    assert sorted([*shown, "/docs"]) == sorted(library.pages)
    assert [section.name for section in library.sections][:2] == ["Learn it", "Get something done"]
    assert shown[0] == "/docs/tutorial/first-token"


def test_every_link_leads_to_a_page_and_to_a_heading_in_it(library: Library) -> None:
    assert library.loose == []
    seen = 0
    for path, page in library.pages.items():
        for link in HREF.findall(page.html):
            if link.startswith(("http://", "https://")) or link.endswith(".svg"):
                continue
            there, _, mark = link.partition("#")
            led = library.pages[there or path]
            assert not mark or mark in ID.findall(led.html), f"{path}: {link}"
            seen += 1
    assert seen > 500


def test_where_the_service_is_below_a_path_links_are_too() -> None:
    library = Library(ROOT, base="/auth")
    links = HREF.findall(library.pages["/docs"].html)
    assert links
    assert all(link.startswith(("/auth/docs", "#")) for link in links)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_headings_have_the_anchors_that_links_in_the_files_have(page: Path) -> None:
    parts = render(page.read_text("utf-8"), lambda link: link).parts
    assert {anchor(part.heading) for part in parts} == anchors(page)


def test_an_event_is_linked_from_elsewhere_by_its_name(library: Library) -> None:
    ids = ID.findall(library.pages["/docs/reference/events"].html)
    assert anchor("user.registered") in ids
    assert len(ids) == len(set(ids))


def test_no_page_has_a_style_or_a_script_of_its_own(library: Library) -> None:
    ours = {f"/{name}" for name in pictures(ROOT)}
    assert "/docs/model.svg" in ours
    for path, page in library.pages.items():
        assert not re.search(r"<[a-z0-9]+[^>]* (style|on[a-z]+)=", page.html), path
        assert "<script" not in page.html, path
        assert set(SHOWN.findall(page.html)) <= ours, path
