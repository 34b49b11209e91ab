"""Pages are filled with whatever values there are, and no text in them ends a script or is filled again."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.io import html
from mien.io.html import fill_page

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def content_of(page: str) -> object:
    """What the script of the audit's page reads."""
    (text,) = re.findall(r'<script id="content" type="application/json">(.*?)</script>', page, flags=re.DOTALL)
    return json.loads(text)


@given(VALUES)
def test_any_value_comes_back_from_the_page(value: object) -> None:
    assert content_of(fill_page("audit.html", content=value)) == value


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "<!--<script>", '"{{content}}"', "\\u003c \\1 \\g<0>"]
)
def test_no_text_ends_the_script_or_is_filled_again(text: str) -> None:
    page = fill_page("audit.html", content={"a": text})
    assert content_of(page) == {"a": text}
    assert page.count("</script>") == fill_page("audit.html", content="").count("</script>")


def test_a_placeholder_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="content"):
        fill_page("audit.html", title="")


def test_every_template_has_placeholders() -> None:
    templates = sorted((Path(html.__file__).parent / "templates").glob("*.html"))
    assert len(templates) >= 2
    for template in templates:
        assert re.search(r'"\{\{\w+\}\}"', template.read_text(encoding="utf-8")), template.name
