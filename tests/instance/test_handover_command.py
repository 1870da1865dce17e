"""`manage.py handover`: it chooses a standby, follows what happens, and says why where nothing can happen."""

import json
from pathlib import Path

from activity.instance.exits import ExitCode
from activity.wire.keys import ownership_key
from tests.instance.test_command import of_database
from tests.instance.workers import Worker, Workers
from tests.servers import RedisServer
from tests.waiting import eventually


def handover(workers: Workers, data_folder: Path, *arguments: str) -> Worker:
    return workers.manage(*arguments, command="handover", PERSEUS_DATA=str(data_folder))


def test_a_handover_is_followed_until_the_standby_is_the_owner(
    workers: Workers, redis_server: RedisServer, data_folder: Path
) -> None:
    exchange = of_database(redis_server, data_folder, "kraken")
    owner = workers.manage("--exchange", "kraken", PERSEUS_DATA=str(data_folder), PERSEUS_HOSTNAME="host-a")
    before = exchange.reaches("active")
    none = handover(workers, data_folder, "--exchange", "kraken")
    assert none.wait() == 1
    assert "kraken has no standby. Waiting are: none" in none.output
    standby = workers.manage(
        "--exchange", "kraken", "--standby", PERSEUS_DATA=str(data_folder), PERSEUS_HOSTNAME="host-b"
    )
    standby.says("waiting, held by")
    command = handover(workers, data_folder, "--exchange", "kraken")
    assert command.wait() == 0, command.output
    after = exchange.becomes(lambda status: status["epoch"] > before["epoch"])
    assert after["hostname"] == "host-b"
    assert f"The standby {after['instanceId']} is the owner, epoch {after['epoch']}" in command.output
    assert owner.wait() == ExitCode.STOPPED
    assert f"Released kraken to the standby {after['instanceId']}" in owner.output
    assert standby.stop() == ExitCode.STOPPED


def test_what_cannot_be_handed_over_is_refused_with_the_reason(
    workers: Workers, redis_server: RedisServer, data_folder: Path
) -> None:
    exchange = of_database(redis_server, data_folder, "kraken")
    older = {"exchangeId": 1, "exchangeName": "kraken", "hostname": "old", "connectionState": "active"}
    exchange.client.set(exchange.key, json.dumps(older), ex=600)
    standby = workers.manage(
        "--exchange", "kraken", "--standby", PERSEUS_DATA=str(data_folder), PERSEUS_HOSTNAME="host-b"
    )
    standby.says("waiting, held by")
    refused = {
        ("--exchange", "nowhere"): "'nowhere' is no exchange. Known are: binance",
        ("--exchange", "kraken"): "it reports no epoch",
        ("--exchange", "kraken", "--to", "zzz"): "has no standbys 'zzz'",
    }
    for arguments, reason in refused.items():
        command = handover(workers, data_folder, *arguments)
        assert command.wait() == 1
        assert reason in command.output
    assert standby.stop() == ExitCode.STOPPED
    eventually(lambda: not exchange.client.exists(ownership_key(1)))
    assert json.loads(exchange.client.get(exchange.key) or b"") == older
