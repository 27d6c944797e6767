"""The settings and the open store, as a command needs them.

Commands work on the store itself, whether a service runs or not. Knows no command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from app import logs, master_key
from app.additions import add_missing
from app.bootstrap import open_vault
from app.settings import MASK, Loaded, SettingFault, Settings, SettingsError, load
from app.store import Store, open_store, storage_of
from app.vault import Vault
from domain.errors import Unavailable
from projections.storage import Rows, Storage, StorageError, Transaction

_URL: Final = "GATEBOOK_DATABASE_URL"


class Access(msgspec.Struct, frozen=True):
    """An open store and the settings that it was opened with."""

    settings: Settings
    store: Store


def read_settings(overrides: Mapping[str, str] | None = None) -> Loaded:
    """The settings of this environment; raises `SettingsError`."""
    return load(os.environ, overrides)


def check_release(settings: Settings) -> None:
    """Refuse settings that this release can't keep; raises `SettingsError`."""
    if settings.sqlite_path is None and find_spec("psycopg") is None:
        problem = "is PostgreSQL's, whose driver is missing. Run: pip install gatebook[postgresql]"
        raise SettingsError(SettingFault(_URL, problem))


@contextmanager
def opened(*, make: bool = False, views: bool = True) -> Iterator[Access]:
    """The store of this environment's settings; made if it isn't there and `make` says so.

    `views` is false for whoever comes to rebuild one that this release doesn't know.

    Raises `SettingsError`, `UnusableStore`, `Unavailable`, and what the storage raises.
    """
    settings = read_settings().settings
    logs.configure("console")
    with open_with(settings, make=make, views=views) as store:
        yield Access(settings, store)


@contextmanager
def open_with(settings: Settings, *, make: bool, views: bool = True) -> Iterator[Store]:
    """As `opened`, with settings at hand."""
    check_release(settings)
    if not make:
        _check_path(settings)
    vault = open_vault(settings)
    with closing_storage(settings.database_url) as storage:
        yield _open(storage, vault, settings, make=make, views=views)


@contextmanager
def closing_storage(url: str) -> Iterator[Storage]:
    """A storage, closed in the end; what it raises says nothing of the URL's password."""
    storage = storage_of(url)
    try:
        yield storage
    except StorageError as error:
        text = " ".join(without_password(str(error), url).split()).removesuffix(".")
        raise type(error)(text) from None
    finally:
        with suppress(StorageError):  # it was lost before
            storage.close()


@contextmanager
def stored(settings: Settings) -> Iterator[Storage]:
    """The database of a store that is there, whatever became of its keys and rows.

    Raises `Unavailable` when there is none.
    """
    check_release(settings)
    _check_path(settings)
    with closing_storage(settings.database_url) as storage:
        with storage.transaction() as rows:
            _check_there(rows)
            if add_missing(rows):
                rows.commit()
        yield storage


def makes_key(settings: Settings) -> bool:
    """Whether opening the store would make a master key."""
    path = master_key.key_path(settings)
    return settings.master_key is None and path is not None and not path.exists()


def log_key(rows: Rows, settings: Settings) -> bytes | None:
    """The key that seals files, None without a master key: none is made, and none is needed.

    Raises `Damage` for a master key that doesn't open it.
    """
    path = master_key.key_path(settings)
    if settings.master_key is None and (path is None or not path.exists()):
        return None
    return open_vault(settings).load_ring(rows).log


def without_password(text: str, url: str) -> str:
    """A driver's message without any part of the URL's password."""
    authority = url.partition("://")[2].rpartition("@")[0]
    password = authority.partition(":")[2]
    parts = {password, unquote(password), *re.split(r"[%@/?#&:]", password)}
    parts |= {unquote(each) for each in re.findall(r"password=([^&]*)", urlsplit(url).query)}
    for part in sorted(parts, key=len, reverse=True):
        if part:
            text = text.replace(part, MASK)
    return text


def _open(storage: Storage, vault: Vault, settings: Settings, *, make: bool, views: bool) -> Store:
    if not make:
        with storage.transaction() as rows:
            _check_there(rows)
    return open_store(storage, vault, settings.signing_algorithm, views=views)


def _check_path(settings: Settings) -> None:
    path = settings.sqlite_path
    if path is not None and not path.exists():
        msg = f"There is no store at {str(path)!r}. `gatebook serve` makes one."
        raise Unavailable(msg)


def _check_there(rows: Transaction) -> None:
    if not rows.has_table("store"):
        msg = "There is no store in this database. `gatebook serve` makes one."
        raise Unavailable(msg)
