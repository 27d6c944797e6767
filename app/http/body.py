"""Strict reading of a JSON body: media type, coding, size, form, and then the members.

JSON is UTF-8 without BOM, at most 16 deep, without repeated members (RFC 8259 §4); members are
exactly those of the Struct. Knows no use case.
"""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar, Final, NoReturn

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import ClientException
from litestar.types import Empty

from domain.errors import Fault, InvalidRequest, TooLarge, UnsupportedMediaType

MAX_BODY: Final = 16 * 1024
MAX_DEPTH: Final = 16

_JSON: Final = re.compile(
    rb'application/json[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?', re.IGNORECASE
)
_TOO_LARGE: Final = "The body is longer than 16 KiB."
_MISSING: Final = re.compile(r"missing required field `([^`]*)`")
_UNKNOWN: Final = re.compile(r"contains unknown field `([^`]*)`")
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""Possessive, and to the end where there is no end: each byte is looked at once."""


class StrictRequest(Request[Any, Any, State]):
    """A request whose JSON body is read strictly into the Struct that its handler declares."""

    media_type: ClassVar = _JSON
    asked_for: ClassVar = "application/json"
    takes_parameters: ClassVar = False
    """Beside the body: what stands there by mistake would count for nothing."""

    async def body(self) -> bytes:
        """The bytes, when they are declared to be of the media type and there are any."""
        if self._body is Empty:
            self._check_headers()
            self._body = await self._read()
            if not self._body:
                msg = f"The body is empty. Send {self.asked_for}."
                raise InvalidRequest(msg)
        return self._body

    async def _read(self) -> bytes:
        """Every piece of the body, as long as it is not too long."""
        content = b""
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                msg = "The client went away before its body was complete."
                raise ClientException(msg)
            content += message["body"]
            if len(content) > MAX_BODY:
                raise TooLarge(_TOO_LARGE)
            if not message["more_body"]:
                return content

    async def json(self) -> Any:
        """The handler's Struct; raises `InvalidRequest` or `UnsupportedMediaType`."""
        declared = self.route_handler.parsed_data_field
        wanted: type = dict if declared is None else declared.annotation
        return read_json(await self.body(), wanted)

    def _check_headers(self) -> None:
        if self.scope["query_string"] and not self.takes_parameters:
            msg = "What is asked for stands in the body: this path takes no parameters."
            raise InvalidRequest(msg)
        declared = False
        for name, value in self.scope["headers"]:
            if name == b"content-type":
                declared = self.media_type.fullmatch(value) is not None
            elif name == b"content-length" and value.isdigit() and int(value) > MAX_BODY:
                raise TooLarge(_TOO_LARGE)
            elif name == b"content-encoding" and value.strip(b" \t").lower() != b"identity":
                msg = "Send the body as it is, without a Content-Encoding."
                raise UnsupportedMediaType(msg)
        if not declared:
            msg = f"Send the body as {self.asked_for}."
            raise UnsupportedMediaType(msg)


def read_json(content: bytes, wanted: type) -> Any:
    """Read one JSON document into a Struct; raises `InvalidRequest` with pointers."""
    document = _strings(content) or _anything(content)
    try:
        return msgspec.convert(document, wanted)
    except msgspec.ValidationError as error:
        raise _named(str(error)) from None
    except UnicodeEncodeError:
        raise InvalidRequest("A member's name is not Unicode text.") from None


def _strings(content: bytes) -> dict[str, str] | None:
    """An object of plain strings, as nearly every body is; None for anything else.

    Without escapes each string has two quotes: more of them are a repeated member's.
    """
    if b"\\" in content:
        return None
    try:
        members = _decode_strings(content)
    except ValueError:
        return None
    return members if content.count(b'"') == 4 * len(members) else None


def _anything(content: bytes) -> Any:
    try:
        text = content.decode()
        if content.count(b"[") + content.count(b"{") > MAX_DEPTH and _depth(content) > MAX_DEPTH:
            _refuse(f"The body is nested more than {MAX_DEPTH} deep.")
        return _decoder.decode(text)
    except UnicodeDecodeError:
        raise InvalidRequest("The body is not UTF-8.") from None
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not JSON.") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                fault = Fault(_pointer(name), "This member is repeated.")
                raise InvalidRequest("A member is repeated.", (fault,))
            seen.add(name)
    return members


def _refuse(why: str) -> NoReturn:
    msg = why if why.endswith(".") else "The body is not JSON."
    raise InvalidRequest(msg)


def _depth(content: bytes) -> int:
    depth = deepest = 0
    for byte in _STRING.sub(b"", content):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


_decode_strings: Final = msgspec.json.Decoder(dict[str, str]).decode
_decoder: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_refuse)


def _named(message: str) -> InvalidRequest:
    """The library's message as a fault that points to the member."""
    what, _, where = message.partition(" - at `$")
    pointer = re.sub(r"[.\[]", "/", where.rstrip("`").replace("]", ""))
    for pattern, said in ((_MISSING, "is missing"), (_UNKNOWN, "is not known here")):
        found = pattern.search(what)
        if found:
            fault = Fault(pointer + _pointer(found[1]), f"This member {said}.")
            return InvalidRequest("The body has not exactly the members asked for.", (fault,))
    return InvalidRequest("A member has the wrong type.", (Fault(pointer, f"{what}."),))


def _pointer(name: str) -> str:
    shown = name.encode(errors="replace").decode()[:128]
    return "/" + shown.replace("~", "~0").replace("/", "~1")
