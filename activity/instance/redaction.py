"""Secrets are taken out of a text before it is stored, shown or logged (RELIABILITY, section 4)."""

import re
from typing import Final

MARK: Final = "[redacted]"

_URL_PASSWORD: Final = re.compile(r"([a-z][a-z0-9+.\-]{1,20}://[^\s/:@\"']*):[^\s/\"']+@", re.IGNORECASE)
# A long user part without a password is a key: https://KEY@host
_URL_KEY: Final = re.compile(r"([a-z][a-z0-9+.\-]{1,20}://)[^\s/:@\"']{16,}@", re.IGNORECASE)
_SCHEME: Final = re.compile(r"\b(bearer|basic)(\s+)[A-Za-z0-9._~+/\-]{8,}=*", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"\b((?:[a-z0-9]+[_-])*(?:password|passwd|passphrase|secret|token|api_?key|signature))"
    r"(=|[\"']\s*[:=]\s*[\"'])(?!\[redacted\])[^\s\"'&,;]+",
    re.IGNORECASE,
)
# Headers of exchange APIs that carry keys and signatures.
_HEADER: Final = re.compile(
    r"\b((?:x-)?(?:[a-z]+-)?(?:api-?key|api-sign|access-key|access-sign|access-passphrase))"
    r"([\"']?\s*:\s*[\"']?)[^\s\"',]{6,}",
    re.IGNORECASE,
)
_PEM_BEGIN: Final = re.compile(r"-----BEGIN [A-Z0-9 ]+-----")
_PEM_END: Final = re.compile(r"-----END [A-Z0-9 ]+-----")
_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
#: A block that does not end within as many lines is no PEM block: go on showing what is said.
_PEM_LINES: Final = 200


def redact(text: str) -> str:
    """`text` without URL passwords, bearer tokens, keys and PEM blocks, and with NUL made visible as U+2400."""
    text = text.replace("\x00", "\u2400")
    text = _PEM.sub(f"{MARK} PEM block", text)
    text = _URL_PASSWORD.sub(rf"\1:{MARK}@", text)
    text = _URL_KEY.sub(rf"\1{MARK}@", text)
    text = _SCHEME.sub(rf"\1\2{MARK}", text)
    text = _NAMED.sub(rf"\1\2{MARK}", text)
    return _HEADER.sub(rf"\1\2{MARK}", text)


class LineRedactor:
    """`redact` for output that arrives line by line: a PEM block spans several of them."""

    def __init__(self) -> None:
        self._inside = 0

    def line(self, text: str) -> str:
        """One line as it may be shown."""
        if self._inside:
            self._inside = 0 if _PEM_END.search(text) or self._inside > _PEM_LINES else self._inside + 1
            return f"{MARK} PEM block"
        if _PEM_BEGIN.search(text) and not _PEM_END.search(text):
            self._inside = 1
        return redact(text)
