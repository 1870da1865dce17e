"""What is away, said once when it goes and once when it is back for everybody, however many notice."""

import logging
from typing import Final

log = logging.getLogger(__name__)

#: Seconds before the first try after an outage has begun, and between later ones at the most: each try doubles it.
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 10.0


class Outages:
    """Keeps what is away at present, by name, and for whom: a full disk can still be read."""

    def __init__(self) -> None:
        #: By what is away: those who miss it. As many as there are exchanges and channels.
        self._missed: dict[str, set[str]] = {}

    def away(self, what: str, why: object, *, to: str) -> None:
        """It does not serve `to` now. Said when that is news."""
        missing = self._missed.setdefault(what, set())
        if not missing:
            log.warning("%s is away, trying again until it is back; nothing is lost meanwhile: %s", what, why)
        missing.add(to)

    def back(self, what: str, *, to: str) -> None:
        """It has done what `to` wanted of it."""
        missing = self._missed.get(what, set())
        if to in missing:
            missing.remove(to)
            if not missing:
                log.warning("%s is back", what)

    def gone(self, who: str) -> None:
        """Somebody no longer wants anything."""
        for what in self._missed:
            self.back(what, to=who)


def longer(pause: float) -> float:
    """The pause after a further try in vain."""
    return min(2 * pause, LONGEST_PAUSE)
