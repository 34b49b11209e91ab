"""HTML pages that need no network: templates of this package, filled with values."""

import json
import re
from importlib import resources
from typing import Any


def fill_page(template: str, **values: Any) -> str:
    """Fill a template with values and return the page's text.

    Parameters
    ----------
    template
        The name of a file in `mien/io/templates`, such as `timeline.html`.
    values
        JSON-safe values by name. Each replaces `"{{name}}"`, with its quotes, inside a `<script>`; no text in them can
        end the script.

    Raises
    ------
    KeyError
        Where the template has a placeholder that no value is given for.
    """
    texts = {name: _json_in_script(value) for name, value in values.items()}
    page = (resources.files("mien.io") / "templates" / template).read_text(encoding="utf-8")
    return re.sub(r'"\{\{(\w+)\}\}"', lambda found: texts[found[1]], page)


def _json_in_script(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
