"""JSON Schemas of the wire contract, so that an instance or a reader can be written in any language.

``python -m activity.wire.schemas`` writes one file per model into docs/schemas/; a test fails when they are stale.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from activity.wire import commands, entries, frames, settings, standby, status

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "schemas"

#: What stands in Redis or travels over a socket, each under the section of the contract that it belongs to.
_MODELS: Final[tuple[type[BaseModel], ...]] = (
    status.InstanceStatus,
    status.ReadStatus,
    standby.StandbyStatus,
    entries.StateTransition,
    entries.ErrorEntry,
    frames.Subscribe,
    frames.Ack,
    frames.Entries,
    frames.Gap,
    frames.Status,
    frames.Statuses,
    frames.Store,
    frames.Closing,
    frames.Command,
    settings.UserSettings,
    commands.InstanceCommand,
    commands.Report,
    commands.IdleStatus,
)
_UNIONS: Final[dict[str, TypeAdapter[Any]]] = {
    "Entry": entries.ENTRY,
    "ClientFrame": frames.CLIENT_FRAME,
    "ServerFrame": frames.SERVER_FRAME,
}
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """File name to contents, for every model."""
    generated: dict[str, dict[str, Any]] = {model.__name__: model.model_json_schema() for model in _MODELS}
    for name, union in _UNIONS.items():
        generated[name] = {"title": name, **union.json_schema()}
    return {
        f"{name}.json": json.dumps({"$schema": _DIALECT, **schema}, indent=2) + "\n"
        for name, schema in generated.items()
    }


def main() -> None:
    """Write the files, and remove those of models that are gone."""
    wanted = schemas()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(wanted)} schemas in {FOLDER}", file=sys.stderr)


if __name__ == "__main__":
    main()
