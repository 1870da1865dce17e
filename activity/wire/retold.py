"""What is stored in English and was written by us, recognised again: a page says it in its reader's language.

Reports, the audit trail and programs keep the English text. A sentence here is one that `instance`, `settling`,
`steering` or `audit` writes, with its values as named parts; a test holds the writers against these tables.
"""

import re
from collections.abc import Iterator
from typing import Final

from activity.wire.said import FAULTS, Said
from activity.wire.said import said as _

#: Longer ones are no sentences of ours: an inbox cuts at 1,000 characters.
_LONGEST: Final = 2000
#: What a part looks like where it is not just anything.
_LOOKS: Final = {
    **dict.fromkeys(("count", "code", "seconds", "max_length", "min_length", "actual_length"), r"-?\d+"),
    **dict.fromkeys(("symbol", "standby", "state"), r"\S+"),
    "where": r"payload[\w.]*",
    "command": r"[\w-]+",
}
#: Parts that are sentences of ours themselves, and one that is a word of the catalogues: the English name of a model.
#: Others are data, whatever they say.
_SENTENCES: Final = frozenset({"how", "why", "what"})
_WORD: Final = "thing"
#: Sentences within sentences that are looked for; ours have two. Others write reports too, as deep as they like.
_DEEPEST: Final = 4


class Sentences:
    """A table of them. The first that fits is the one that was meant."""

    def __init__(self, *templates: Said) -> None:
        self.templates: Final = tuple(str(one) for one in templates)
        self._whole: Final = {text: _(text) for text in self.templates if "%(" not in text}
        self._shapes: Final = [(text, _pattern(text)) for text in self.templates if text not in self._whole]

    def read(self, text: str) -> str:
        """As `Said` where it is one of them, else as it is."""
        return self._read(text, _DEEPEST)

    def _read(self, text: str, deep: int) -> str:
        if len(text) > _LONGEST or not deep:
            return text
        return self._whole.get(text) or next(self._fitting(text, deep), text)

    def _fitting(self, text: str, deep: int) -> Iterator[Said]:
        for template, pattern in self._shapes:
            if found := pattern.fullmatch(text):
                yield _(template, **{name: self._part(name, part, deep) for name, part in found.groupdict().items()})

    def _part(self, name: str, part: str, deep: int) -> str:
        if name in _SENTENCES:
            return self._read(part, deep - 1)
        return _(part) if name == _WORD else part


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"%\((\w+)\)s", template)
    looks = (f"(?P<{one}>{_LOOKS.get(one, '.+')})" if at % 2 else re.escape(one) for at, one in enumerate(parts))
    return re.compile("".join(looks), re.DOTALL)


#: What became of a command, or why nobody knows.
REPORTS: Final = Sentences(
    _("the instance did not take it within 30 s"),
    _("it never reached Redis"),
    _("the instance took it and ended before it reported: what was done is not known"),
    _("started"),
    _("starts as the instance of %(exchange)s"),
    _("stopped; the instance keeps the exchange and waits for a start"),
    _("paused"),
    _("goes on"),
    _("told"),
    _("noted"),
    _("waits for a start"),
    _("the program was started anew"),
    _("mode %(mode)s, %(how)s"),
    _("%(count)s symbols, mode not said, %(how)s"),
    _("%(count)s symbols, mode %(mode)s, %(how)s"),
    _("%(count)s symbols are followed"),
    _("nobody answers for it, shown from its next heartbeat on"),
    _("%(who)s answers for it, shown from its next heartbeat on"),
    _("stops with its next heartbeat and hands the exchange to %(standby)s"),
    # Why not.
    _("%(count)s commands wait for this instance already"),
    _("%(why)s. Whether it was sent is found out as soon as Redis answers."),
    _("not sent: %(why)s"),
    _("the instance no longer holds the exchange"),
    _("the instance is between two epochs: send it again in a moment"),
    _("it is %(state)s already: only an instance that was stopped starts"),
    _("it has not begun to start in time"),
    _("it is stopped already"),
    _("the program has not ended in time; it is being killed"),
    _("the program has no way to be told of %(command)s: start its worker with --tell"),
    _("no program runs now"),
    _("the program does not read its standard input: %(error)s"),
    _("the hook %(hook)s cannot be run: %(error)s"),
    _("the hook ended with exit code %(code)s: no output"),
    _("the hook ended with exit code %(code)s: %(output)s"),
    _("a stop or pause overtook it: the hook was killed, and what it did is not known"),
    _("the hook did not end within %(seconds)s s and was killed"),
    _("it is %(state)s: only one that runs can pause"),
    _("it is not paused"),
    _("%(count)s symbols are followed, which is the most"),
    _("%(symbol)s is followed already"),
    _("%(symbol)s is not followed"),
    _("the standby could not be asked for: %(error)s"),
    _("%(standby)s is no standby that is alive"),
    _("this instance has no exchange yet: %(command)s means nothing to it"),
    _("it has been assigned an exchange already, or ends"),
    _("a fault in the worker: %(error)s"),
    _("%(where)s: %(what)s"),
    *FAULTS,
)


#: What an event of the audit trail was done to.
SUBJECTS: Final = Sentences(
    _("%(command)s to instance %(instance)s"),
    _("settings of %(who)s"),
    _("session of %(who)s from %(address)s"),
    _("session from %(address)s"),
    _("authenticator of %(who)s"),
    _("social account of %(who)s"),
    _("entries as %(format)s"),
    _("commands as %(format)s"),
    _("claims as %(format)s"),
    _("audit as %(format)s"),
    _("exchange %(name)s"),
    _("user %(name)s"),
    _("group %(name)s"),
    _("api token %(name)s"),
    _("wall link %(name)s"),
    _("notification channel %(name)s"),
)
#: Why, where it was no person who said so.
REASONS: Final = Sentences(
    _("too many failures from %(address)s"),
    _("ended on the page of sessions"),
    _("ended in the Django admin"),
)
#: Names of rights: Django writes them into its table in English.
RIGHTS: Final = Sentences(
    _("Can add %(thing)s"),
    _("Can change %(thing)s"),
    _("Can delete %(thing)s"),
    _("Can view %(thing)s"),
    _("Can claim responsibility for the instance"),
    _("Can send commands to the instance"),
    _("Can take over from another admin or host"),
    _("Can administer the exchange"),
)
