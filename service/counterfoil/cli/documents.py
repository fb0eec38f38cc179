"""`openapi`: the document of the API, made from the code; CI compares it with the committed one."""

from __future__ import annotations

import json

import click


@click.command()
def openapi() -> None:
    """Print the OpenAPI document of the service.

    \b
    counterfoil openapi > openapi/openapi.json
    """
    from counterfoil.app import api_document

    click.echo(json.dumps(api_document(), indent=2, sort_keys=True, ensure_ascii=False))
