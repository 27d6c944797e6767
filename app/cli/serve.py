"""`gatebook serve`: the service, from the command line to its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import rich_click as click
import structlog

from app import logs, master_key, server
from app.application import application
from app.cli import ending, failure
from app.cli.access import Access, check_release, makes_key, open_with, read_settings
from app.cli.administering import directory_of
from app.cli.holding import held
from app.cli.pooler import check_pooler
from app.clock import now
from app.paging import Part

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

    from app.bootstrap import Service
    from app.settings import Settings


@click.command("serve")
@click.option("--host", help="The address to listen on.")
@click.option(
    "--port", help="The port to listen on; 0 takes any free one, and needs GATEBOOK_ISSUER."
)
@click.option("--workers", help="How many processes serve; more than one needs PostgreSQL.")
@click.pass_context
def command(ctx: click.Context, host: str | None, port: str | None, workers: str | None) -> None:
    """Run the service.

    Makes the store when there is none. SIGTERM and Ctrl-C stop it: open requests are answered
    first. The options win over GATEBOOK_HOST, GATEBOOK_PORT and GATEBOOK_WORKERS.
    """
    ending.as_ever()
    given = {"GATEBOOK_HOST": host, "GATEBOOK_PORT": port, "GATEBOOK_WORKERS": workers}
    overrides = {name: value for name, value in given.items() if value is not None}
    settings = read_settings(overrides).settings
    check_release(settings)
    logs.configure(settings.log_format)
    with held(settings.sqlite_path):
        ctx.exit(_serve(settings))


def _prepare(settings: Settings) -> None:
    """Make the store if need be, before anything is accepted, and say what there is to know."""
    check_pooler(settings)
    made = makes_key(settings)
    with open_with(settings, make=True) as store:
        access = Access(settings, store)
        with store.snapshot() as rows:
            users = directory_of(access).page(rows, Part(1), now()).items
    if made:
        _say(
            "A master key was made. Without it the store can't be read: keep a copy elsewhere.",
            file=str(master_key.key_path(settings)),
        )
    if not users:
        _say(
            "There is no user yet. Make one, then an administrator of it.",
            user="gatebook users create USER_ID",
            administrator="gatebook users grant USER_ID admin",
        )


def _serve(settings: Settings) -> int:
    services: list[Service] = []

    def app() -> ASGI3Application:
        # Litestar is one, by types of its own.
        return cast("ASGI3Application", application(settings, on_start=services.append))

    def stop() -> None:
        for service in services:
            service.stopping.set()

    return server.serve(
        app, settings, on_stop=stop, prepare=lambda: _prepare(settings), on_failure=_failed
    )


def _failed(error: Exception) -> int:
    code = failure.told(error)
    return server.tell(error) if code is None else code


def _say(text: str, **more: str) -> None:
    structlog.get_logger("gatebook").info(text, **more)
