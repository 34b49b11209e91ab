"""Pages are filled with whatever values there are, and no text in them ends a script or is filled again."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.io import html
from mien.io.html import Markup, element, fill_page, join

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
        text = template.read_text(encoding="utf-8")
        assert re.search(r'"\{\{\w+\}\}"|<!--\{\{\w+\}\}-->', text), template.name


class Reader(HTMLParser):
    """Keeps the text of a page, and its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.attributes: list[tuple[str, str | None]] = []

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002  # its signature
        self.attributes += attrs


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_text_is_text_in_an_element(text: str) -> None:
    reader = Reader()
    reader.feed(element("p", text, element("b", [text, text]), title=text))
    reader.close()
    assert reader.text == 3 * text
    assert reader.attributes == [("title", text)]


def test_elements_nest_and_name_their_attributes() -> None:
    row = element("tr", (element("td", str(number), class_="a", stroke_width=1.5, id=None) for number in (1, 2)))
    assert row == '<tr><td class="a" stroke-width="1.5">1</td><td class="a" stroke-width="1.5">2</td></tr>'
    assert element("img", src="a") == '<img src="a"/>'
    assert join(["<", Markup("<i>")]) == "&lt;<i>"


def test_markup_fills_a_page_and_text_in_it_is_escaped() -> None:
    names = ("title", "head", "tiles", "figures", "slices", "robustness", "faces", "table", "foot")
    values = dict.fromkeys(names, "") | {"title": "<!--{{head}}-->", "head": Markup("<h1>A</h1>")}
    page = fill_page("evaluation.html", **values)
    assert "<title>Evaluation of &lt;!--{{head}}--&gt;</title>" in page
    assert page.count("<h1>A</h1>") == 1
