"""Which release this is; the build reads it here too."""

from typing import Final

VERSION: Final = "0.1.0"
