"""What is done to Redis under a running recorder: everything forgotten, and a replica promoted that lost writes."""

import asyncio
from pathlib import Path
from typing import Any

from activity.instance.exits import ExitCode
from activity.models import ArchiveCursor
from activity.models.archive import pack
from activity.store.ownership import read_ownership_now
from tests.faults.owners import Owners
from tests.faults.recorders import hasty, recorder
from tests.instance.workers import Exchange
from tests.proxy import Proxy, proxy_before
from tests.recorder import watching
from tests.recorder.archiving import Database, Raw, gaps, in_archive, in_stream, write
from tests.recorder.watching import written
from tests.servers import RedisServer, free_port, running_redis
from tests.waiting import eventually


def three_owners(redis_url: str) -> None:
    """Binance, Coinbase and Kraken are claimed for a minute."""

    async def start() -> None:
        owners = watching.Owners(redis_url)
        await owners.start(1, 2, 3, ttl=60)
        await owners.close()

    asyncio.run(start())


def test_an_emptied_redis_is_told_once_and_the_archive_goes_on(
    sqlite_database: Database, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Fault: FLUSHALL with the recorder running and three owners, which then claim anew.

    Holds: one notice of a reset and no death; what was archived stays, the stream that begins anew is archived from
    its start, each entry once, and a gap is recorded between the two.
    """
    three_owners(redis_server.url)
    before = write(redis_server, 50)
    with recorder(sqlite_database, redis_server.url, tmp_path, *hasty()) as running:
        eventually(lambda: len(in_archive()) == 50)
        running.says("deaths are declared again")
        with redis_server.client() as client:
            client.flushall()
        running.says("3 instances vanished at once")
        three_owners(redis_server.url)
        after = write(redis_server, 50)
        eventually(lambda: written(redis_server, "registry_reset"))
        # The notice is the newest entry of the first exchange: with it everything is archived.
        eventually(lambda: in_archive("binance") == in_stream(redis_server.url, "binance") != [])
        eventually(lambda: len(in_archive()) == 100)
    assert len(written(redis_server, "registry_reset")) == 1
    assert written(redis_server, "lost") == []
    assert [entry_id for entry_id, _ in in_archive()] == before + after
    assert in_archive()[50:] == in_stream(redis_server.url)
    ((after_id, first_id, _reason),) = gaps()
    assert (after_id, first_id) == (before[-1], after[0])


def entries_of(raw: Raw) -> set[tuple[str, bytes]]:
    """The same as a set."""
    return {(entry_id, pack(pairs)) for entry_id, pairs in raw}


def replicates(replica: RedisServer) -> bool:
    with replica.client() as client:
        info: Any = client.info("replication")
    return bool(info["master_link_status"] == "up")


def test_a_promoted_replica_that_lost_writes_makes_no_second_owner_and_no_false_death(
    owners: Owners, sqlite_database: Database, tmp_path: Path
) -> None:
    """Fault: the primary dies, and the replica that is promoted has lost the owner's claim and the newest entries.

    Holds: the owner stops its program and goes on under a higher epoch, the standby does not start meanwhile; nobody
    is told dead; the archive keeps what Redis has lost, takes what comes, each entry once, and notes the restart.
    """
    port = free_port()
    with (
        running_redis(port=port) as primary,
        running_redis(options=("--replicaof", "127.0.0.1", str(port))) as replica,
        proxy_before(primary.socket) as proxy,
    ):
        kept = write(primary, 5)
        eventually(lambda: replicates(replica) and len(in_stream(replica.url)) == 5)
        with replica.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")  # from here on it misses everything
        fail_over(owners, proxy, primary, replica, sqlite_database, tmp_path)
        stream = in_stream(replica.url)
    archive = in_archive()
    lost = [entry_id for entry_id, _ in archive[5:15]]
    assert [entry_id for entry_id, _ in archive][:5] == kept
    assert entries_of(stream) <= entries_of(archive), "everything that Redis has is archived"
    assert len({entry_id for entry_id, _ in archive}) == len(archive)
    assert not set(lost) & {entry_id for entry_id, _ in stream}
    assert ArchiveCursor.objects.get(exchange__name="kraken").restarts == 1


def fail_over(
    owners: Owners, proxy: Proxy, primary: RedisServer, replica: RedisServer, database: Database, folder: Path
) -> None:
    """An owner, a standby and a recorder, behind a proxy that turns from one server to the other."""
    owners.workers.redis_url = proxy.url
    with primary.client() as before_client, replica.client() as after_client:
        owners.exchange = Exchange(before_client, 3)
        with recorder(database, proxy.url, folder, *hasty(wait=4.0, settle=2.0)) as running:
            first, before = owners.owner(exchange_id=3)
            standby = owners.standby(exchange_id=3)
            write(primary, 10)
            eventually(lambda: in_archive() == in_stream(primary.url))
            primary.stop()
            proxy.fail_over(replica.socket)
            owners.exchange = Exchange(after_client, 3)
            after = owners.successor_of(before)
            assert after["instanceId"] == before["instanceId"]
            assert "Registered" not in standby.output
            running.says("no death is declared for another 4 s: Redis")
            write(replica, 10)
            eventually(lambda: read_ownership_now(after_client, [3])[0].state == "held")
            assert standby.stop() == ExitCode.STOPPED
            assert first.stop() == ExitCode.STOPPED
            eventually(lambda: entries_of(in_stream(replica.url)) <= entries_of(in_archive()))
    kinds = [entry.get("kind") for entry in owners.exchange.entries()]
    assert kinds.count("lost") == 0
    assert kinds.count("registry_reset") <= 1
    owners.assert_one_at_a_time(processes=2)
