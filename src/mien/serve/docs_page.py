"""The page at /docs: the OpenAPI document as plain HTML, without a script and without anything from elsewhere."""

import base64
import hashlib
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-top: 1px solid; padding-top: 1rem; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 1rem 0.2rem 0; }
th { white-space: nowrap; }
"""

# The page loads nothing; the browser takes this style, and no other, by its hash.
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"


def docs_page(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document.

    Parameters
    ----------
    document
        As `FastAPI.openapi` returns it.
    """
    info = document["info"]
    title = f"{info['title']} {info['version']}"
    parts = [f"<h1>{escape(title)}</h1>", f"<p>{escape(info['description'])}</p>"]
    parts.append('<p>For programs: <a href="openapi.json">openapi.json</a></p>')
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts += _operation(f"{method.upper()} {path}", operation)
    parts.append("<h2>Objects</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts += _schema(name, schema)
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n{body}\n</html>\n"
    )


def _operation(title: str, operation: dict[str, Any]) -> list[str]:
    """Return the section of one address: its summary, parameters, body and answers."""
    parts = [f"<h2><code>{escape(title)}</code></h2>", f"<p>{escape(operation['summary'])}.</p>"]
    rows = [(f"?{each['name']}=", each.get("description", "")) for each in operation.get("parameters", [])]
    if "requestBody" in operation:
        kinds = ", ".join(operation["requestBody"]["content"])
        rows.append(("body", f"{operation['requestBody']['description']} As {kinds}."))
    for status, answer in operation["responses"].items():
        kinds = ", ".join(answer.get("content", {}))
        rows.append((status, f"{answer['description']}{kinds and f' ({kinds})'}"))
    return [*parts, _table(rows)]


def _schema(name: str, schema: dict[str, Any]) -> list[str]:
    """Return the section of one object: what it is, and its fields."""
    fields = schema.get("properties", {}).items()
    rows = [(field, f"{_type(about)}. {about.get('description', '')}".strip()) for field, about in fields]
    paragraphs = [f"<p>{escape(text)}</p>" for text in schema.get("description", "").split("\n\n") if text]
    return [f'<h3 id="{escape(name)}">{escape(name)}</h3>', *paragraphs, _table(rows)]


def _type(schema: dict[str, Any]) -> str:
    """Return the type of a field in words: `integer`, `list of Row`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "anything"))


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [f"<tr><th><code>{escape(name)}</code></th><td>{escape(text)}</td></tr>" for name, text in rows]
    return "\n".join(["<table>", *lines, "</table>"])
