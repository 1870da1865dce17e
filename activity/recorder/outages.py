"""What is away, said once when it goes and once when it is back, however many readers notice."""

import logging
from typing import Final

log = logging.getLogger(__name__)

#: Seconds before the first try after an outage has begun, and between later ones at the most: each try doubles it.
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 10.0


class Outages:
    """Keeps what is away at present, by name."""

    def __init__(self) -> None:
        self._away: dict[str, str] = {}

    def away(self, what: str, why: object) -> None:
        """It cannot be used now. Said when that is news."""
        if what not in self._away:
            log.warning("%s is away, trying again until it is back; nothing is lost meanwhile: %s", what, why)
        self._away[what] = str(why)

    def back(self, what: str) -> None:
        """It answers."""
        if self._away.pop(what, None) is not None:
            log.warning("%s is back", what)


def longer(pause: float) -> float:
    """The pause after a further try in vain."""
    return min(2 * pause, LONGEST_PAUSE)
