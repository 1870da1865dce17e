"""What was appended, from two sources that the recorder does not know: Redis' append-only file and the instances."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from activity.models.archive import pack, unpack
from activity.wire.entries import EntryId

#: By exchange: every entry that was ever appended, packed as the archive packs it.
Streams = dict[str, dict[EntryId, bytes]]
_PREFIX = b"logs:network:"


def _commands(path: Path) -> Iterator[list[bytes]]:
    """The commands of one append-only file (RESP arrays of bulk strings)."""
    with path.open("rb") as file:
        while line := file.readline():
            if line[:1] == b"#":
                continue
            assert line[:1] == b"*", f"{path} is damaged: {line[:40]!r}"
            words = []
            for _ in range(int(line[1:])):
                length = int(file.readline()[1:])
                words.append(file.read(length))
                file.read(2)
            yield words


def appended(folder: Path) -> tuple[Streams, list[bytes]]:
    """Every XADD of a Redis whose file was never rewritten, and the eventIds that were appended twice.

    Not counted is a second time when the first had been trimmed: nobody could find it there any more.
    """
    streams: Streams = {}
    first_kept: dict[str, EntryId] = {}
    events: dict[tuple[str, bytes], EntryId] = {}
    twice: list[bytes] = []
    files = sorted((folder / "appendonlydir").glob("*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))
    for words in itertools.chain.from_iterable(map(_commands, files)):
        command = words[0].upper()
        if command not in (b"XADD", b"XTRIM") or not words[1].startswith(_PREFIX):
            continue
        name, at = words[1].removeprefix(_PREFIX).decode(), 2
        if command == b"XTRIM":
            assert words[2].upper() == b"MINID", words
            first_kept[name] = EntryId.parse(words[4 if words[3] in (b"=", b"~") else 3].decode())
            continue
        if words[at].upper() in (b"MINID", b"MAXLEN"):
            at += 3 if words[at + 1] in (b"=", b"~") else 2
            at += 2 if words[at].upper() == b"LIMIT" else 0
        entry_id, pairs = EntryId.parse(words[at].decode()), words[at + 1 :]
        stream = streams.setdefault(name, {})
        assert entry_id not in stream
        stream[entry_id] = pack(pairs)
        if event := dict(zip(pairs[::2], pairs[1::2], strict=True)).get(b"eventId"):
            earlier = events.get((name, event))
            if earlier is not None and earlier >= first_kept.get(name, EntryId(0, 0)):
                twice.append(event)
            events[name, event] = entry_id
    return streams, twice


def _fields(raw: bytes) -> dict[bytes, bytes]:
    pairs = unpack(raw)
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


@dataclass
class Lives:
    """The instances' own journal."""

    #: By instance: its exchange and epoch.
    began: dict[str, tuple[str, int]] = field(default_factory=dict)
    #: By instance that has released: the texts of its entries.
    released: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Lives":
        lives = cls()
        for line in path.read_bytes().splitlines():
            what, exchange, instance, epoch, *rest = orjson.loads(line)
            if what == "began":
                lives.began[instance] = exchange, epoch
            else:
                lives.released[instance] = rest[0]
        return lives


def check_instances(streams: Streams, lives: Lives) -> tuple[int, int]:
    """What an instance was told to be written stands once, in order, as it was; who released never counts as dead.

    (deaths, resets of the registry) that were written down.
    """
    texts: dict[str, dict[int, str]] = {}
    kinds: Counter[str] = Counter()
    released = {lives.began[instance] for instance in lives.released}
    for name, stream in streams.items():
        for raw in stream.values():
            fields = _fields(raw)
            event = fields.get(b"eventId")
            if event is None:
                continue
            kind = fields.get(b"kind", b"").decode()
            if kind:
                kinds[kind] += 1
            if kind == "lost" and b"epoch" in fields:
                assert (name, int(fields[b"epoch"])) not in released, f"{event!r} had released"
            elif not kind:
                instance, _, number = event.decode().rpartition(":")
                assert instance in lives.began, event
                text = fields.get(b"toState", fields.get(b"error", b"")).decode()
                texts.setdefault(instance, {})[int(number)] = text
    for instance, written in lives.released.items():
        found = texts.get(instance, {})
        in_order = [found.get(number) for number in range(1, len(written) + 1)]
        assert in_order == written, f"{instance} has written {written}, found are {found}"
    return kinds["lost"], kinds["registry_reset"]


@dataclass(frozen=True)
class Gap:
    """A row of archive_gaps."""

    after: EntryId
    first: EntryId | None
    reason: str


def check_archive(name: str, stream: dict[EntryId, bytes], archive: dict[EntryId, bytes], gaps: list[Gap]) -> int:
    """The archive is the stream, byte by byte, without exactly what its gaps say. The number of missing entries."""
    strange = archive.keys() - stream.keys()
    assert not strange, f"{name}: archived, but never appended: {sorted(strange)[:5]}"
    other = [entry_id for entry_id, raw in archive.items() if stream[entry_id] != raw]
    assert not other, f"{name}: archived with other bytes: {other[:5]}"
    missing = sorted(stream.keys() - archive.keys())
    told: list[EntryId] = []
    for gap in gaps:
        assert gap.reason == "trimmed", gap
        assert gap.after in archive, f"{name}: {gap} begins at an entry that is not archived"
        assert gap.first in archive, f"{name}: {gap} ends at an entry that is not archived"
        within = [entry_id for entry_id in missing if gap.after < entry_id < gap.first]
        assert within, f"{name}: {gap} has nothing in it"
        inside = [entry_id for entry_id in archive if gap.after < entry_id < gap.first]
        assert not inside, f"{name}: {gap} has archived entries in it"
        told += within
    assert sorted(told) == missing, f"{name}: missing without a gap: {sorted(set(missing) - set(told))[:5]}"
    return len(missing)
