"""Statuses as instances write them."""

from activity.wire.keys import status_key, stream_key
from activity.wire.status import ConnectionState, InstanceStatus
from tests.servers import RedisServer

_MOMENT = "2026-11-22T14:31:38.907Z"


def status_of(number: int, heartbeat: str = _MOMENT) -> InstanceStatus:
    """That of the instance of one exchange."""
    return InstanceStatus(
        exchangeId=number, exchangeName=f"x-{number}", hostname=f"trader-{number}.example.org",
        ipAddress="203.0.113.17",
        countryCode="DE", adminEmail="ada@example.org", adminDisplayName="Ada", connectionState=ConnectionState.ACTIVE,
        symbolCount=40, connectedAt=_MOMENT, lastHeartbeat=heartbeat, lastStateChange=_MOMENT, registeredAt=_MOMENT,
        instanceId=f"01J-{number}", pid=4711, version="1.0", mode="live", heartbeatSeconds=15, epoch=number,
    )  # fmt: skip


def write_statuses(redis: RedisServer, count: int, seconds: int = 3600) -> None:
    """Make that many exchanges live."""
    with redis.client() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(1, count + 1):
            pipeline.set(status_key(number), status_of(number).model_dump_json(), ex=seconds)
        pipeline.execute()


def write_entries(redis: RedisServer, count: int, each: int = 200) -> None:
    """Make that many exchanges have a history."""
    with redis.client() as client:
        for number in range(1, count + 1):
            pipeline = client.pipeline(transaction=False)
            for turn in range(each):
                pipeline.xadd(stream_key(f"x-{number}"), {
                    "event": "error", "timestamp": _MOMENT, "exchangeName": f"x-{number}", "ip": "203.0.113.17",
                    "error": f"order book is out of sequence: expected {turn}; asking for a snapshot",
                    "exchangeId": str(number), "hostname": f"trader-{number}.example.org", "state": "active",
                    "instanceId": f"01J-{number}", "epoch": str(number),
                })  # fmt: skip
            pipeline.execute()
