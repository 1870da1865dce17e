"""What an instance would write to Redis, written by a test."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from activity.wire.clock import format_timestamp

IDS = {"binance": 1, "coinbase": 2, "kraken": 3}


def stamp(seconds_ago: float = 0) -> str:
    """A timestamp of the contract, that many seconds ago."""
    return format_timestamp(datetime.now(UTC) - timedelta(seconds=seconds_ago))


def status_of(name: str, **fields: Any) -> dict[str, Any]:
    """A status of one of our workers, active for an hour."""
    return {
        "exchangeId": IDS[name],
        "exchangeName": name,
        "hostname": "fra-edge-03",
        "ipAddress": "203.0.113.7",
        "countryCode": "DE",
        "adminEmail": "marta@example.org",
        "adminDisplayName": "Marta Kovač",
        "connectionState": "active",
        "symbolCount": 412,
        "connectedAt": stamp(3600),
        "lastHeartbeat": stamp(),
        "lastStateChange": stamp(3600),
        "registeredAt": stamp(7200),
        "lastError": None,
        "lastErrorAt": None,
        "instanceId": "fra-edge-03-31877-x7k2",
        "pid": 31877,
        "version": "2.4.1",
        "mode": "live",
        "heartbeatSeconds": 15,
        "epoch": 212,
        **fields,
    }


def put_status(client: redis.Redis, name: str, *, ttl_ms: int = 45_000, **fields: Any) -> None:
    """Write the status key, as a heartbeat would have done `45_000 - ttl_ms` milliseconds ago."""
    client.set(f"exchange:{IDS[name]}:status", json.dumps(status_of(name, **fields)), px=ttl_ms)


OLDER_WRITER_LACKS = ("instanceId", "pid", "version", "mode", "heartbeatSeconds", "epoch")


def put_older_status(client: redis.Redis, name: str, **fields: Any) -> None:
    """The status of a writer that knows none of the fields that we added."""
    status = {key: value for key, value in status_of(name, **fields).items() if key not in OLDER_WRITER_LACKS}
    client.set(f"exchange:{IDS[name]}:status", json.dumps(status), px=45_000)


def append(client: redis.Redis, name: str, *, entry_id: str = "*", **fields: str) -> str:
    """Append an entry; returns its id."""
    pairs: dict[Any, Any] = dict(fields)
    taken = client.xadd(f"logs:network:{name}", pairs, id=entry_id)
    assert isinstance(taken, bytes)
    return taken.decode()


def append_error(client: redis.Redis, name: str, error: str, *, entry_id: str = "*", **fields: str) -> str:
    """Append an error entry; returns its id."""
    usual = {"event": "error", "timestamp": stamp(), "error": error, **_common(name), "state": "active"}
    return append(client, name, entry_id=entry_id, **{**usual, **fields})


def append_move(client: redis.Redis, name: str, before: str, after: str, *, entry_id: str = "*", **fields: str) -> str:
    """Append a transition; returns its id."""
    usual = {"event": "state_transition", "timestamp": stamp(), "fromState": before, "toState": after}
    return append(client, name, entry_id=entry_id, **{**usual, **_common(name), "adminEmail": "", **fields})


def _common(name: str) -> dict[str, str]:
    return {"exchangeId": str(IDS[name]), "exchangeName": name, "hostname": "fra-edge-03", "ip": "203.0.113.7"}
