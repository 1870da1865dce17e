"""Results as JSON, as the table in docs/performance.md and as a plot."""

import json
from collections.abc import Callable
from typing import Any, Final

from tests.web import ROOT

DOCUMENT: Final = ROOT / "docs" / "performance.md"
PLOT: Final = ROOT / "docs" / "performance.svg"
RAW: Final = ROOT / "docs" / "performance.json"
_BEGIN: Final = "<!-- make bench writes from here"
_END: Final = "<!-- to here -->"
_NODE: Final = "node ws"
_INK: Final = "#445"
_NONE: Final = "\N{EN DASH}"


def write(results: dict[str, Any]) -> None:
    """All three files, as far as there are results."""
    RAW.write_text(json.dumps(results, indent=1) + "\n")
    PLOT.write_text(plot(results))
    text = DOCUMENT.read_text()
    head, begin, rest = text.partition(_BEGIN)
    mark, _, old = rest.partition("-->\n")
    _, end, tail = old.partition(_END)
    if not begin or not end:
        raise RuntimeError(f"{DOCUMENT} has lost its marks")
    DOCUMENT.write_text(f"{head}{begin}{mark}-->\n\n{tables(results)}\n{end}{tail}")


def _of(results: dict[str, Any], name: str, load: str, key: str) -> float | None:
    value = results["feed"].get(name, {}).get(load, {}).get(key)
    return float(value) if value is not None else None


def _number(value: float | None) -> str:
    if value is None:
        return _NONE
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def tables(results: dict[str, Any]) -> str:
    """Everything that was measured, in Markdown."""
    before = results["load average before"]
    parts = [
        (
            f"{results['machine']}; {'short loads, ' if results['quick'] else ''}{results['rounds']} round(s); "
            f"load average {before[0]:.1f} before it began. "
            "ms are from before the XADD to the viewer; a cell is p50 / p99.\n"
        )
    ]
    feed = results["feed"]
    sizes = [load for load in next(iter(feed.values()), {}) if load.startswith("low ")]

    def pair(name: str, load: str) -> str:
        p50, p99 = _of(results, name, load, "p50"), _of(results, name, load, "p99")
        missing = _of(results, name, load, "lost")
        told = f"{_number(p50)} / {_number(p99)}" if p50 is None or p50 >= 0 else "none came"
        return told + (f", **{missing:,.0f} lost**" if missing else "")

    rows = []
    for name, key in (("XREAD BLOCK in C", "raw"), ("XREAD BLOCK by redis-py", "plain")):
        raw = results[key]
        rows.append([name, f"{raw['p50']:.2f} / {raw['p99']:.2f}", *[_NONE] * (len(sizes) + 2)])
    for name in feed:
        rate = _of(results, name, "highest", "rate")
        deliveries = _of(results, name, "highest", "deliveries_per_second")
        rows.append(
            [name, *(pair(name, size) for size in sizes), _number(rate), _number(deliveries), pair(name, "storm")]
        )
    head = ["", *(f"{size.removeprefix('low ')} viewers, 10/s" for size in sizes)]
    parts.append(_table([*head, "most entries/s to 1,000", "deliveries/s then", "storm"], rows))

    rows = []
    for name in feed:
        back = _of(results, name, "stampede", "back")
        growth = _of(results, name, "storm", "memory_growth")
        stalled = _of(results, name, "half stalled", "memory_growth")
        cpu, size = _of(results, name, "idle", "cpu"), _of(results, name, "idle", "kilobytes_per_viewer")
        rows.append([
            name, pair(name, "undisturbed"), pair(name, "half stalled"),
            _number(stalled * 10) if stalled is not None else _NONE,
            _NONE if back is None else f"{_number(back)} s, {_of(results, name, 'stampede', 'lost') or 0:,.0f} lost",
            _number(growth), _number(cpu * 100) if cpu is not None else _NONE, _number(size),
            _number(_of(results, name, "storm", "behind")),
        ])  # fmt: skip
    parts.append(
        _table(
            ["", "100 viewers, 200/s", "beside 100 stalled ones", "KB per stalled", "1,000 back after a drop",
             "MB in the storm", "idle 1,000: % of a core", "KB per viewer", "storm: s behind"], rows)
    )  # fmt: skip
    parts.append(_ratios(results))
    if grown := results.get("growth"):
        parts.append(_growth(grown))
    if paint := results.get("first paint"):
        asked = ("ms", "bytes", "bytes compressed", "bytes compressed with all files")
        rows = [[f"{size} exchanges", *(_number(one[name]) for name in asked)] for size, one in paint.items()]
        heads = ["network page", "ms in the server", "bytes", "bytes sent", "with styles, scripts, font"]
        parts.append(_table(heads, rows))
    if beats := results.get("heartbeats"):
        parts.append(f"Heartbeats (the ownership script) from one process: {_number(beats['per second'])} a second.\n")
    if archive := results.get("archive"):
        parts.append(
            f"Archive: {_number(archive['entries per second'])} entries a second. A bare loop of COPY into the same "
            f"table {_number(archive['copy with foreign key per second'])}: "
            f"{archive['share with foreign key'] * 100:.0f} %; "
            f"into one without its foreign key {_number(archive['copy per second'])}: {archive['share'] * 100:.0f} %.\n"
        )
    return "\n".join(parts)


def _growth(grown: dict[str, Any]) -> str:
    rows = [
        [
            what if number == 0 else "",
            *(_number(one[key]).removesuffix(".00") for key in ("viewers", "exchanges", "rate")),
            *(_number(one[key]) for key in ("web", "megabytes", "redis", "commands", "kilobytes")),
        ]
        for what in ("viewers", "exchanges", "entries", "board idle", "board beating")
        for number, one in enumerate(grown[what] if isinstance(grown[what], list) else [grown[what]])
    ]
    return _table(
        ["what grows", "viewers", "exchanges", "entries/s", "web: % of a core", "MB added", "Redis: % of a core",
         "commands/s", "KB/s from Redis"], rows)  # fmt: skip


def _ratios(results: dict[str, Any]) -> str:
    ours = "ours, daphne"

    def ratio(upper: float | None, lower: float | None) -> float | None:
        return upper / lower if upper is not None and lower else None

    def at(name: str, load: str, key: str) -> float | None:
        return _of(results, name, load, key)

    most = "deliveries_per_second"
    bars: list[tuple[str, float | None, str, Callable[[float], bool]]] = [
        ("one viewer, p50 / XREAD BLOCK by redis-py", ratio(at(ours, "low 1", "p50"), results["plain"]["p50"]),
         "≤ 2", lambda value: value <= 2),
        ("1,000 viewers at 10/s, p99 / Node", ratio(at(ours, "low 1000", "p99"), at(_NODE, "low 1000", "p99")),
         "≤ 2", lambda value: value <= 2),
        ("deliveries/s to 1,000", at(ours, "highest", most), "≥ 1,500,000", lambda value: value >= 1.5e6),
        ("… / socket.io", ratio(at(ours, "highest", most), at("socket.io", "highest", most)), "≥ 12",
         lambda value: value >= 12),
        ("… / RedisChannelLayer", ratio(at(ours, "highest", most), at("RedisChannelLayer", "highest", most)), "≥ 150",
         lambda value: value >= 150),
        ("storm, lost", at(ours, "storm", "lost"), "0", lambda value: value == 0),
        ("storm, s behind", at(ours, "storm", "behind"), "≤ 0.2", lambda value: value <= 0.2),
        ("storm, p99 / Node", ratio(at(ours, "storm", "p99"), at(_NODE, "storm", "p99")), "≤ 2",
         lambda value: value <= 2),
        ("storm, MB of growth", at(ours, "storm", "memory_growth"), "≤ 40", lambda value: value <= 40),
        ("beside stalled viewers, p99 / undisturbed",
         ratio(at(ours, "half stalled", "p99"), at(ours, "undisturbed", "p99")), "≤ 1.5", lambda value: value <= 1.5),
        ("MB per stalled viewer", ratio(at(ours, "half stalled", "memory_growth"), 100), "≤ 1",
         lambda value: value <= 1),
        ("first paint of 100 exchanges, ms in the server", results.get("first paint", {}).get("100", {}).get("ms"),
         "≤ 100", lambda value: value <= 100),
        ("… bytes with styles, scripts and font",
         results.get("first paint", {}).get("100", {}).get("bytes compressed with all files"), "≤ 100,000",
         lambda value: value <= 1e5),
        ("heartbeats of 1,000 exchanges to 1,000 viewers, % of a core", _beating(results), "≤ 5",
         lambda value: value <= 5),
        ("archive / bare COPY into the same table", results.get("archive", {}).get("share with foreign key"), "≥ 0.9",
         lambda value: value >= 0.9),
    ]  # fmt: skip
    rows = [
        [name, _number(value), bar, _NONE if value is None else "holds" if holds(value) else "**does not hold**"]
        for name, value, bar, holds in bars
    ]
    return _table(["ours on daphne, one process", "measured", "bar", ""], rows)


def _beating(results: dict[str, Any]) -> float | None:
    grown = results.get("growth")
    return None if grown is None else float(grown["board beating"]["web"] - grown["board idle"]["web"])


def plot(results: dict[str, Any]) -> str:
    """The most deliveries a second to 1,000 viewers, one bar each, as SVG."""
    found = {name: _of(results, name, "highest", "deliveries_per_second") or 0.0 for name in results["feed"]}
    most = max([*found.values(), 1.0])
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {40 + 34 * len(found)}" '
            'font-family="sans-serif" font-size="14" role="img" aria-label="Deliveries a second to 1,000 viewers">'
        ),
        (
            f'<rect width="100%" height="100%" fill="#fff"/><text x="12" y="24" fill="{_INK}">'
            "Deliveries a second to 1,000 viewers, none lost and none more than a second late</text>"
        ),
    ]
    for place, (name, value) in enumerate(found.items()):
        top = 40 + 34 * place
        color = "#2f6f8f" if name.startswith("ours") else "#b8b2a6"
        width = max(1.0, 420 * value / most)
        lines.append(
            f'<text x="12" y="{top + 17}" fill="{_INK}">{name}</text>'
            f'<rect x="220" y="{top}" width="{width:.1f}" height="24" fill="{color}"/>'
            f'<text x="{226 + width:.1f}" y="{top + 17}" fill="{_INK}">{value:,.0f}</text>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"
