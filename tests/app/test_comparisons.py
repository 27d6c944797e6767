"""Whatever proves a secret is compared in constant time: no other comparison names one.

Every comparison of the source is looked at, by what its operands are called. One that is new has
to go through `hmac.compare_digest`, or say here why it tells nobody anything.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
TELLING: Final = re.compile(
    r"(?:^|_)(?:secret|password|passwd|hash|hashed|digest|hexdigest|mac|hmac|crc32|checksum|"
    r"signature|tag|seal|sealed|token|credential|chain|chained|root|sha256|wrapped)s?(?:_|$)",
    re.IGNORECASE,
)
"""What the name of a value says that might prove something."""

CONSTANT: Final = {
    ("app/argon2id.py", "hmac.compare_digest(digest, stored.digest)"): "a secret's hash",
    (
        "app/archive/lines.py",
        "hmac.compare_digest(mine.encode(), right.encode())",
    ): "an archive's seal",
    (
        "domain/refresh_token.py",
        "hmac.compare_digest(expected, token.mac)",
    ): "a refresh token's MAC",
}
"""All that is compared so."""

_PUBLIC: Final = "both are public"
_OPERATOR: Final = "who waits for the answer is an operator, who has the key"
_COUNTER: Final = "a counter or an id, no proof of anything"
_PAGE: Final = "a part of a page of the documentation"
OPEN: Final = {
    ("app/archive/importing.py", "(end.records, end.root) != (filled.position, filled.root)"): (
        _OPERATOR
    ),
    ("app/archive/importing.py", "noted != (filled.position, filled.root)"): _OPERATOR,
    ("app/archive/importing.py", "_moment(wrapped.header) != _moment(records.header)"): _PUBLIC,
    ("app/archive/importing.py", "wrapped.end.root != filled.root"): _OPERATOR,
    ("app/archive/proving.py", "reader.end.root != proof.root"): _OPERATOR,
    ("app/archive/reading.py", "end.sha256 != self._hash.hexdigest()"): (
        "a checksum without a key, for what was cut off"
    ),
    ("app/eventstore/log.py", "chain != record.chained(self._chain_key, link)"): _OPERATOR,
    ("app/eventstore/log.py", "then != known.chain"): (
        "both come out of the store: who asks has neither, and chooses neither"
    ),
    ("app/lookup.py", "found_by == key_or_mac"): (
        "a key is no secret, and a keyed hash nobody outside can choose"
    ),
    ("app/passwords.py", "argon2id.parse(secret_hash).parameters != self._parameters"): _PUBLIC,
    ("app/tracing.py", "self._generation == self._token.generation + 1"): _COUNTER,
    ("app/tracing.py", "item.data.get('session_id') == self._token.session_id"): _COUNTER,
    ("app/refresh_tokens.py", "token.generation != row.generation"): _COUNTER,
    ("app/refresh_tokens.py", "token.generation == found.generation"): _COUNTER,
    ("app/tokens/signing.py", "len(signature) != 2 * _COORDINATE"): "a length",
    ("app/tokens/signing.py", "len(signature) != _ED25519_SIGNATURE"): "a length",
    ("app/tokens/signing.py", "len(signature) != _RSA_BITS // 8"): "a length",
    ("app/vault.py", "seal_by == 'person'"): "the name of a kind of key",
    ("app/verifying/log.py", "chain == expected"): _OPERATOR,
    ("app/verifying/log.py", "chain == self._link(otherwise, content)"): _OPERATOR,
    ("app/verifying/log.py", "self.root == noted.root"): _OPERATOR,
    ("app/verifying/people.py", "expected != mac"): _OPERATOR,
    ("app/verifying/people.py", "self._people[user_key].credential != version"): _COUNTER,
    ("app/verifying/views.py", "place.digest != right"): _OPERATOR,
    ("app/verifying/views.py", "place.digest_position == place.position == head"): _COUNTER,
    ("app/web/markdown.py", "token.type == 'heading_open'"): _PAGE,
    ("app/web/markdown.py", "token.type == 'inline'"): _PAGE,
    ("app/web/markdown.py", "token.info != _OUTPUT"): _PAGE,
    ("app/web/markdown.py", "token.tag == 'h1'"): _PAGE,
    ("app/web/markdown.py", "tag == 'h1'"): _PAGE,
    ("domain/decider.py", "user.secret_hash == replaced"): (
        "sealed blobs of the store, both read from it"
    ),
    ("domain/decider.py", "command.secret_version != user.secret_version"): _COUNTER,
    ("domain/session_rules.py", "command.secret_version != user.secret_version"): _COUNTER,
    ("domain/refresh_token.py", "zlib.crc32(body.encode()) != _six_digits(text[75:])"): (
        "a checksum without a key, which anybody can compute; it finds mistyped tokens"
    ),
    ("projections/rebuild.py", "digest(old, projection, renew) != found"): _OPERATOR,
}
"""What is compared otherwise, and why that tells nobody anything."""


def names(node: ast.AST) -> Iterator[str]:
    """What stands in an expression."""
    for each in ast.walk(node):
        match each:
            case ast.Name(name):
                yield name
            case ast.Attribute(attr=name):
                yield name


def comparisons(source: str) -> Iterator[str]:
    """Those for equality that name something telling."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Compare)
            and any(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops)
            and any(map(TELLING.search, names(node)))
        ):
            yield ast.unparse(node)


def constant(source: str) -> Iterator[str]:
    """Those by `compare_digest`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("compare_digest"):
            yield ast.unparse(node)


def sources() -> Iterator[tuple[str, str]]:
    for package in ("app", "domain", "projections"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_what_proves_a_secret_is_compared_in_constant_time() -> None:
    """Security rule 22."""
    found = {(name, each) for name, source in sources() for each in constant(source)}
    assert found == CONSTANT.keys()


def test_whatever_else_is_compared_tells_nobody_anything() -> None:
    """Security rule 22."""
    found = {(name, each) for name, source in sources() for each in comparisons(source)}
    assert found == OPEN.keys()


@pytest.mark.parametrize(
    "source",
    [
        "if token.mac == expected: pass",
        "assert given.encode() != user_secret.encode()",
        "same = hashlib.sha256(a).digest() == b",
        "good = all(x == y for x, y in zip(stored_hash, digest)) and stored_hash == digest",
    ],
)
def test_a_comparison_that_tells_something_is_found(source: str) -> None:
    """The control."""
    assert [*comparisons(source)]
    assert not [*constant(source)]
