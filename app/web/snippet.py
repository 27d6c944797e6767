"""The guide's calls as lines for a shell, for Python and for JavaScript, all of them in one place.

What may stand in them openly is filled in: `<url>`, `<user_id>`, `<user_key>`. Secrets and tokens
never are: the lines read them from the environment, and a secret is made JSON there, whatever is in
it. Knows no page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

LANGUAGES: Final[Mapping[str, str]] = MappingProxyType(
    {"curl": "curl", "python": "Python", "javascript": "JavaScript"}
)
"""What each is called."""
EXAMPLES: Final[Mapping[str, str]] = MappingProxyType(
    {"user_id": "ada@example.org", "user_key": "uk_31mvhaptxa9saarmdmt3kf0725"}
)
"""What stands there until a visitor's own is known."""

_FILLED: Final = re.compile(r"<(url|user_id|user_key)>")


class Piece(NamedTuple):
    """Text, and the name of what it is when it is filled in, or the empty text."""

    text: str
    name: str


_CURL: Final = {
    "register": """\
secret=$(printf %s "$USER_SECRET" | sed 's/[\\\\"]/\\\\&/g')
curl -s <url>/register \\
    -H 'Content-Type: application/json' -d @- <<END
{"user_id": "<user_id>", "user_secret": "$secret"}
END
""",
    "authenticate": """\
secret=$(printf %s "$USER_SECRET" | sed 's/[\\\\"]/\\\\&/g')
curl -s <url>/authenticate \\
    -H 'Content-Type: application/json' -d @- <<END
{"user_key": "<user_key>", "user_secret": "$secret"}
END
""",
    "refresh": """\
curl -s <url>/refresh \\
    -H 'Content-Type: application/json' -d @- <<END
{"refresh_token": "$REFRESH_TOKEN"}
END
""",
    "use": """\
curl -s <url>/me -H "Authorization: Bearer $ACCESS_TOKEN"
""",
    "leak": """\
json='Content-Type: application/json'
refresh() { curl -s <url>/refresh -H "$json" -d @-; }
token() { sed 's/.*"refresh_token":"\\([^"]*\\)".*/\\1/'; }

second=$(echo '{"refresh_token": "'$REFRESH_TOKEN'", "rotate": true}' | refresh | token)
third=$(echo '{"refresh_token": "'$second'", "rotate": true}' | refresh | token)
echo '{"refresh_token": "'$REFRESH_TOKEN'"}' | refresh; echo   # the thief
echo '{"refresh_token": "'$third'"}' | refresh; echo           # you
""",
    "erase": """\
secret=$(printf %s "$USER_SECRET" | sed 's/[\\\\"]/\\\\&/g')
curl -s <url>/me/erase -H 'Content-Type: application/json' \\
    -H "Authorization: Bearer $ACCESS_TOKEN" -d @- <<END
{"user_secret": "$secret"}
END
""",
}
_PYTHON: Final = {
    "register": """\
import os
from gatebook_client import Gatebook

with Gatebook("<url>") as gatebook:
    print(gatebook.register("<user_id>", os.environ["USER_SECRET"]))
""",
    "authenticate": """\
import os
from gatebook_client import Gatebook

with Gatebook("<url>") as gatebook:
    tokens = gatebook.authenticate("<user_key>", os.environ["USER_SECRET"])
    print(tokens.access_token, tokens.refresh_token)
""",
    "refresh": """\
import os
from gatebook_client import Gatebook

with Gatebook("<url>") as gatebook:
    print(gatebook.refresh(os.environ["REFRESH_TOKEN"]).access_token)
""",
    "use": """\
import os
import httpx
from gatebook_client import GatebookAuth

# Gets the token, and another one before it is over.
secret = os.environ["USER_SECRET"]
auth = GatebookAuth("<url>", user_key="<user_key>", user_secret=secret)
print(httpx.get("<url>/me", auth=auth).json())
""",
    "leak": """\
import os
from gatebook_client import Gatebook, InvalidToken

first = os.environ["REFRESH_TOKEN"]
with Gatebook("<url>") as gatebook:
    second = gatebook.refresh(first, rotate=True).refresh_token
    third = gatebook.refresh(second, rotate=True).refresh_token
    for who, token in ("the thief", first), ("you", third):
        try:
            gatebook.refresh(token)
        except InvalidToken as refusal:
            print(who, refusal.problem.reason)
""",
    "erase": """\
import os
from gatebook_client import Gatebook, GatebookAuth

secret = os.environ["USER_SECRET"]
auth = GatebookAuth("<url>", user_key="<user_key>", user_secret=secret)
with Gatebook(auth=auth) as gatebook:
    gatebook.erase_me(secret)
""",
}
_JAVASCRIPT: Final = {
    "register": """\
import { createClient } from 'gatebook-client';

const { api } = createClient({ url: '<url>' });
const user_secret = process.env.USER_SECRET;
const { user_key } = await api.register({ user_id: '<user_id>', user_secret });
console.log(user_key);
""",
    "authenticate": """\
import { createClient } from 'gatebook-client';

const { api } = createClient({ url: '<url>' });
const user_secret = process.env.USER_SECRET;
const tokens = await api.authenticate({ user_key: '<user_key>', user_secret });
console.log(tokens.access_token, tokens.refresh_token);
""",
    "refresh": """\
import { createClient } from 'gatebook-client';

const { api } = createClient({ url: '<url>' });
const refresh_token = process.env.REFRESH_TOKEN;
const { access_token } = await api.refresh({ refresh_token });
console.log(access_token);
""",
    "use": """\
import { createClient } from 'gatebook-client';

const user_secret = process.env.USER_SECRET;
const credentials = { user_key: '<user_key>', user_secret };
// Gets the token, and another one before it is over.
const client = createClient({ url: '<url>', credentials });
const answer = await client.fetch('<url>/me');
console.log(await answer.json());
""",
    "leak": """\
import { createClient } from 'gatebook-client';

const { api } = createClient({ url: '<url>' });
const rotated = (refresh_token) => api.refresh({ refresh_token, rotate: true });

const first = process.env.REFRESH_TOKEN;
const { refresh_token: second } = await rotated(first);
const { refresh_token: third } = await rotated(second);
for (const [who, refresh_token] of [['the thief', first], ['you', third]])
  await api.refresh({ refresh_token }).catch(({ problem }) => console.log(who, problem.reason));
""",
    "erase": """\
import { createClient } from 'gatebook-client';

const user_secret = process.env.USER_SECRET;
const credentials = { user_key: '<user_key>', user_secret };
const { api } = createClient({ url: '<url>', credentials });
await api.erase({ user_secret });
""",
}
SNIPPETS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        step: {"curl": lines, "python": _PYTHON[step], "javascript": _JAVASCRIPT[step]}
        for step, lines in _CURL.items()
    }
)
"""By step and language."""


def pieces(text: str, values: Mapping[str, str]) -> Iterator[Piece]:
    """The lines with what is filled in, each such place apart."""
    end = 0
    for found in _FILLED.finditer(text):
        yield Piece(text[end : found.start()], "")
        yield Piece(values[found[1]], found[1])
        end = found.end()
    yield Piece(text[end:], "")


def filled(text: str, values: Mapping[str, str]) -> str:
    """The lines as a visitor sees them."""
    return "".join(piece.text for piece in pieces(text, values))
