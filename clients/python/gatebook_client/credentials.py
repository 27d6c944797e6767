"""What a program authenticates with, and where that comes from.

Knows the environment's names and the profile's place; talks to nobody.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from gatebook_client.cache import FileCache, cache_of
from gatebook_client.errors import ConfigurationError, UnexpectedAnswer
from gatebook_client.kept import Kept
from gatebook_client.private_file import read_private
from gatebook_client.tokens import read_times, session_of
from gatebook_client.unshown import Unshown

PREFIX: Final = "GATEBOOK_CLIENT_"
NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "URL": "the address of the service",
        "USER_KEY": "who authenticates …",
        "USER_SECRET": "… and with what",
        "REFRESH_TOKEN": "a session to go on with, instead of these or as well",
        "PROFILE": "a profile, by name or path, instead of the three above",
        "CACHE": (
            "a file, or a folder (one that is there, or a path that ends with a slash), in which "
            "tokens are kept and shared"
        ),
    }
)
"""What each says; each also as `…_FILE`: the name of a file that holds the value."""


class Credentials(Unshown, msgspec.Struct, frozen=True):
    """Key and secret, or a refresh token, or both; a `repr` shows the key alone."""

    user_key: str | None = None
    user_secret: str | None = None
    refresh_token: str | None = None

    def _shown(self) -> list[tuple[str, object]]:
        return [("user_key", self.user_key)]

    @property
    def can_authenticate(self) -> bool:
        """Whether a new session can be begun with them."""
        return bool(self.user_key and self.user_secret)

    @property
    def identity(self) -> str:
        """What programs with the same credentials share a cache by; not secret."""
        return self.user_key or session_of(self.refresh_token or "")

    def ours(self, kept: Kept, url: str) -> Kept:
        """What is kept, if it is of this user at this service; nothing otherwise.

        A file may have been another user's or another service's before, or be so now and then.
        """
        if kept.url != url or kept.identity != self.identity:
            return Kept()
        session = session_of(kept.refresh_token) if kept.refresh_token else None
        if not self.user_key and session not in {None, self.identity}:
            return Kept()
        try:
            said = read_times(kept.access_token) if kept.access_token else None
        except UnexpectedAnswer:
            return msgspec.structs.replace(kept, access_token=None)
        if said is not None:
            mine = said.sub == self.user_key if self.user_key else said.sid == self.identity
            if not mine or session not in {None, said.sid}:
                return Kept()
        return kept

    def check(self) -> None:
        """Raises ConfigurationError unless something can be done with them."""
        if bool(self.user_key) < bool(self.user_secret):
            raise ConfigurationError("A user_secret takes its user_key.")
        if not self.can_authenticate and not self.refresh_token:
            raise ConfigurationError("Give user_key and user_secret, or a refresh_token.")
        if self.refresh_token and not session_of(self.refresh_token):
            raise ConfigurationError("The refresh_token is none of Gatebook's: gbr_…")


class Found(msgspec.Struct, frozen=True):
    """A service, what to authenticate with there, and the file in which tokens are kept."""

    url: str
    credentials: Credentials
    cache: FileCache | None = None


def from_environment(environ: Mapping[str, str] | None = None) -> Found:
    """What `GATEBOOK_CLIENT_*` says; a profile gives what the others leave out.

    Raises ConfigurationError for an unknown name, or when it isn't enough.
    """
    given = _given(os.environ if environ is None else environ)
    named = given.get("PROFILE")
    profile = from_profile(named) if named or not given.keys() - {"CACHE"} else None
    credentials = Credentials(
        given.get("USER_KEY"), given.get("USER_SECRET"), given.get("REFRESH_TOKEN")
    )
    if profile is not None:
        if "CACHE" in given:
            raise ConfigurationError(
                f"The tokens of a profile are kept in it: leave {PREFIX}CACHE out."
            )
        if given.get("URL", profile.url).rstrip("/") != profile.url:
            raise ConfigurationError(
                f"{PREFIX}PROFILE names a profile of {profile.url}, and {PREFIX}URL another "
                "service: give one of them."
            )
        if credentials == Credentials():
            return profile
        raise ConfigurationError(
            f"{PREFIX}PROFILE names a profile, and {PREFIX}USER_KEY, _USER_SECRET or "
            "_REFRESH_TOKEN somebody else: give one of them."
        )
    if "URL" not in given:
        raise ConfigurationError(f"{PREFIX}URL is missing: the address of the service.")
    credentials.check()
    return Found(given["URL"], credentials, cache_of(given.get("CACHE")))


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in environ.items():
        short = name.removeprefix(PREFIX)
        if short == name:
            continue
        if short in NAMES:
            given[short] = value
        elif (short := short.removesuffix("_FILE")) in NAMES:
            try:
                given[short] = Path(value).read_text(encoding="utf-8").rstrip("\r\n")
            except OSError as error:
                raise ConfigurationError(f"{name}: {error}") from None
            except UnicodeDecodeError:  # which has what it couldn't read, and that is a secret
                raise ConfigurationError(f"{name}: {value} is no text in UTF-8.") from None
        else:
            raise ConfigurationError(
                f"{name} is unknown: there are {', '.join(PREFIX + each for each in NAMES)}."
            )
    return given


class _Profile(Unshown, msgspec.Struct, frozen=True):
    url: str
    user_key: str | None = None
    user_secret: str | None = None

    def _shown(self) -> list[tuple[str, object]]:
        return [("url", self.url), ("user_key", self.user_key)]


def profile_path(name: str | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Where the profile of this name is; a name with a slash is a path itself."""
    name = name or "default"
    if "/" in name or os.sep in name:
        return Path(name)
    if name.startswith("."):
        raise ConfigurationError(f"{name!r} is no name of a profile.")
    environ = os.environ if environ is None else environ
    home = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return home / "gatebook-client" / f"{name}.json"


def from_profile(name: str | None = None) -> Found:
    """What a profile file says; its tokens are renewed in it.

    Raises ConfigurationError when it isn't there, isn't the user's alone (0600), or isn't one.
    """
    path = profile_path(name)
    text = read_private(path)
    if text is None:
        raise ConfigurationError(f"There is no profile {path}. Run: gatebook-client login")
    try:
        profile = msgspec.json.decode(text, type=_Profile)
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{path} is no profile: {error}") from None
    cache, url = FileCache(path, profile=True), profile.url.rstrip("/")
    kept = cache.read()
    credentials = Credentials(profile.user_key, profile.user_secret, kept.refresh_token)
    if credentials.ours(kept, url) != kept:
        credentials = Credentials(profile.user_key, profile.user_secret)
    credentials.check()
    return Found(url, credentials, cache)
