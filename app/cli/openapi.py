"""`gatebook openapi`: the description of the HTTP interface, for tools."""

from __future__ import annotations

import json

import rich_click as click

from app.cli import output
from app.cli.access import read_settings
from app.http.application import application


@click.command("openapi")
def command() -> None:
    """Print the OpenAPI description, as the service has it at /schema/openapi.json."""
    schema = application(read_settings().settings).openapi_schema.to_schema()
    output.data([json.dumps(schema, indent=2)])
