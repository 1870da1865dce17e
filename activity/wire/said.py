"""What is said to people where nothing may know of languages: the English text, with its parts still apart.

`activity.words` says it in the language of a page. Logs, programs and the command line read the English.
"""

from collections.abc import Mapping
from typing import Any, Final


class Said(str):
    """A text that was filled in. `template` is what translators see, `facts` what fills its %(names)s."""

    template: str
    facts: dict[str, Any]


def said(template: str, **facts: Any) -> Said:
    """The text, as an error's only argument for instance. Imported as `_`, so that `make messages` finds templates."""
    text = Said(template % facts if facts else template)
    text.template, text.facts = template, facts
    return text


_ = said

#: What pydantic says of the documents that people write here. Anything else that it says stays in English.
FAULTS: Final = (
    _("Input should be %(expected)s"),
    _("Input should be a valid boolean, unable to interpret input"),
    _("Input should be a valid boolean"),
    _("Input should be a valid string"),
    _("Input should be a valid array"),
    _("Input should be an object"),
    _("Invalid JSON: %(error)s"),
    _("String should match pattern '%(pattern)s'"),
    _("String should have at least %(min_length)s character"),
    _("String should have at most %(max_length)s characters"),
    _("Tuple should have at most %(max_length)s items after validation, not %(actual_length)s"),
)


def fault(where: str, problem: Mapping[str, Any]) -> Said:
    """One of pydantic's problems as a sentence that begins with the field's name."""
    facts = problem.get("ctx", {})
    what: str = str(problem["msg"])
    for known in FAULTS:
        wanted = {name: facts[name] for name in facts if f"%({name})s" in known.template}
        if "%(" in known.template and not wanted:
            continue
        if (found := said(known.template, **wanted)) == what:
            what = found
            break
    return said("%(where)s: %(what)s", where=where, what=what)
