"""`/docs`: the OpenAPI document as one page that loads nothing from anywhere.

The usual viewers fetch scripts from other people's servers; a service that keeps evidence serves its own words.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'self'"}

_environment = Environment(
    loader=PackageLoader("counterfoil", "pages"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
)


def documents_page(document: dict[str, Any]) -> str:
    """The page for an OpenAPI `document`: every operation with its parameters, roles and answers."""
    operations = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in sorted(document["paths"].items())
        for method, operation in methods.items()
    ]
    return _environment.get_template("documents.html").render(info=document["info"], operations=operations)
