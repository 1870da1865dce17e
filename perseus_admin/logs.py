"""What our log lines leave out: tokens, which a path or an exception's text may carry."""

import logging
import re
from typing import Final

#: As ApiToken and WallLink draw them.
_TOKEN: Final = re.compile(r"perseus_(wall_)?[\w-]{43}", re.ASCII)


class WithoutTokens(logging.Formatter):
    """Formats a whole record, its traceback too, and then takes the tokens out of it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and what follows it."""
        return _TOKEN.sub(r"perseus_\1[secret]", super().format(record))
