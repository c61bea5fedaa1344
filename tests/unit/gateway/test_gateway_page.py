"""The page's files: what the browser is told about them."""

import re
from pathlib import Path

import pytest

from connectors.gateway.static import FILES, FOLDER


@pytest.mark.parametrize("path", FILES)
async def test_each_file_is_served_with_a_policy_that_allows_nothing_inline(stand, path):
    answer = await stand.http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, FILES[path][1])
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_unchanged_file_is_not_sent_again(stand):
    etag = (await stand.http.get("/")).headers["etag"]
    again = await stand.http.get("/", headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_every_file_of_the_folder_is_served_and_no_other():
    assert {each.name for each in Path(FOLDER).iterdir()} == {name for name, _ in FILES.values()}


@pytest.mark.parametrize("name", ["board.js", "generate.js"])
def test_the_page_uses_nothing_inline_and_writes_no_markup(name):
    page, script = (FOLDER / "index.html").read_text(), (FOLDER / name).read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|setAttribute\(.(on|style)", script
    )
