"""`gatebook config`: every setting, and where its value came from."""

from __future__ import annotations

import msgspec
import rich_click as click

from app import master_key
from app.cli import output
from app.cli.access import check_release, makes_key, read_settings
from app.settings import MASK, SETTINGS, Loaded


class SettingItem(msgspec.Struct, frozen=True):
    """A variable; `value` is text as it would be written, masked when secret."""

    name: str
    value: str
    source: str
    meaning: str


@click.group("config")
def command() -> None:
    """Show and check the settings.

    Every setting is an environment variable; NAME_FILE names a file that holds the value.
    """


@command.command("show")
@output.json_option
def show(*, as_json: bool) -> None:
    """Print every value and where it came from, secrets masked."""
    items = _items(read_settings())
    if as_json:
        output.json_lines(items)
        return
    widths = [max(len(getattr(item, name)) for item in items) for name in ("name", "value")]
    output.data(
        output.columns((item.name, widths[0]), (item.value, widths[1]), (item.source, 0))
        for item in items
    )


@command.command("check")
def check() -> None:
    """Check the settings as `serve` would, without touching the store."""
    settings = read_settings().settings
    check_release(settings)
    database = settings.sqlite_path
    if not makes_key(settings) or (database is not None and database.exists()):
        master_key.obtain(settings)
    output.talk("The settings are good.")


def _items(loaded: Loaded) -> list[SettingItem]:
    values, sources = loaded.settings.masked(), dict(loaded.sources)
    path = master_key.key_path(loaded.settings)
    if loaded.settings.master_key is None and path is not None and path.exists():
        values["GATEBOOK_MASTER_KEY"] = MASK
        sources["GATEBOOK_MASTER_KEY"] = f"file {path}"
    return [
        SettingItem(each.name, values[each.name], sources[each.name], each.meaning)
        for each in SETTINGS
    ]
