"""The documentation's references lead somewhere: links to files and headings, and sections of contracts that code cites."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub names them."""
    titles = re.findall(r"^#+ (.*)$", without_code(page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        leads_to = (page.parent / path).resolve() if path else page
        assert leads_to.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(leads_to), f"{page.name}: {link}"


def test_every_page_is_linked_from_the_readme() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    assert all(f"(docs/{page.name})" in readme for page in PAGES[1:])


def test_every_file_that_a_page_names_is_there() -> None:
    for page in PAGES:
        for path in re.findall(r"`((?:src|tests|emulator|infra|docs|benches)/[\w./-]+)`", page.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_every_section_that_the_code_cites_is_there() -> None:
    of_turbopuffer, of_zilliz = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8").split("\n## turbopuffer\n")[1].split("\n## Zilliz Cloud\n")
    known = [set(re.findall(r"^### Section ([\d.]+):", part, flags=re.MULTILINE)) for part in (of_turbopuffer, of_zilliz)]
    files = [path for folder in ("src", "emulator/src") for path in (ROOT / folder).rglob("*.rs")]
    cited = 0
    for path in files:
        # A citation may be broken over two lines.
        text = re.sub(r"\n\s*//[/!]? ?", " ", path.read_text(encoding="utf-8"))
        for first, link, last in re.findall(r"contract,? sections? ([\d.]*\d)(?: (to|and) (\d+))?", text):
            numbers = [str(number) for number in range(int(first), int(last) + 1)] if link == "to" else [first, *([last] if last else [])]
            zilliz = "zilliz" in path.parts or path.name in ("zilliz.rs", "clusters.rs")
            sections = known[1] if zilliz else known[0] | known[1]
            assert sections.issuperset(numbers), f"{path.relative_to(ROOT)}: section {numbers}"
            cited += 1
    assert cited > 40
