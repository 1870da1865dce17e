"""A status at its beginning, and a status of somebody else in words."""

import os

from activity.instance import VERSION
from activity.instance.options import WorkerConfig
from activity.wire.clock import now_timestamp
from activity.wire.status import ConnectionState, InstanceStatus, read_status


def fresh_status(config: WorkerConfig, instance_id: str) -> InstanceStatus:
    """What is registered: idle, nobody answering for it yet, no symbols, no address."""
    now = now_timestamp()
    return InstanceStatus(
        exchangeId=config.exchange_id,
        exchangeName=config.exchange_name,
        hostname=config.hostname,
        connectionState=ConnectionState.IDLE,
        lastHeartbeat=now,
        lastStateChange=now,
        registeredAt=now,
        instanceId=instance_id,
        pid=os.getpid(),
        version=VERSION,
        mode=config.mode,
        heartbeatSeconds=config.heartbeat_seconds,
        epoch=0,
    )


def describe_holder(holder: bytes) -> str:
    """Who holds an exchange, for people: host, address, since when."""
    reading = read_status(holder)
    status = reading.status
    if status is None:
        return f"a writer whose status cannot be read ({reading.problem})"
    since = (
        f"connected since {status.connectedAt}" if status.connectedAt else f"not connected, {status.connectionState}"
    )
    return f"host {status.hostname} (ip {status.ipAddress or 'unknown'}, {since})"
