"""What stands in a page's address behind the question mark.

Knows no page.
"""

from typing import Annotated

from litestar.params import QueryParameter

Text = Annotated[str, QueryParameter(max_length=1024)]
"""As somebody wrote it: what it means, and whether it can mean anything, is found out later."""
