"""`gatebook openapi`: the description of the HTTP interface, for tools."""

from __future__ import annotations

import json

import rich_click as click

from app.application import application
from app.cli import output
from app.cli.access import read_settings
from app.http.description import describe


@click.command("openapi")
def command() -> None:
    """Print the OpenAPI description.

    It is what the service has at /schema/openapi.json.
    """
    schema = describe(application(read_settings().settings))
    output.data([json.dumps(schema, indent=2)])
