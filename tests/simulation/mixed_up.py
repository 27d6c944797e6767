"""Names and tokens that are given to others, as somebody might by mistake who remembers too much.

Knows no breach and no run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from app.administration import Directory
from app.grants import Grants
from app.opening import Opener

if TYPE_CHECKING:
    from app.administration import UserItem
    from app.grants import Granted
    from projections.token_lookup import TokenRow
    from projections.user_directory import UserRow

_item: Final = Directory._item
_grant: Final = Grants.grant
_user_id: Final = Opener.user_id


def remembered_name(self: Directory, row: UserRow) -> UserItem:
    item = _item(self, row)
    if item.user_id is not None:
        self.__dict__.setdefault("_names", {})[row.user_key] = item.user_id
    known = self.__dict__.get("_names", {}).get(row.user_key)
    return msgspec.structs.replace(item, user_id=known)


def whoever_came_first(self: Opener, *asked: Any) -> str:
    return self.__dict__.setdefault("_first", _user_id(self, *asked))


async def whoever_asked_before(self: Grants, row: TokenRow, scope: str | None) -> Granted:
    granted = await _grant(self, row, scope)
    before = self.__dict__.get("_before", granted)
    self.__dict__["_before"] = granted
    return before
