"""What is done to the connection while an instance appends to its stream."""

import pytest

from activity.instance.exits import ExitCode
from tests.instance.workers import Exchange, Workers
from tests.proxy import proxy_before
from tests.servers import RedisServer
from tests.waiting import eventually

#: Stands in the script that appends, and in no other command.
APPENDING = b"Append an entry unless it already stands"


@pytest.mark.parametrize("how", ["reset", "black hole"])
def test_an_append_that_is_cut_off_in_the_middle_is_written_once(
    workers: Workers, exchange: Exchange, redis_server: RedisServer, how: str
) -> None:
    """Fault: the connection is reset after an append has reached Redis; it swallows an append and delivers it late.

    Holds: the instance appends again over a new connection, every entry stands once, in order, and what arrives late
    adds nothing.
    """
    with proxy_before(redis_server.socket) as proxy:
        workers.redis_url = proxy.url
        if how == "reset":
            proxy.lose_replies(APPENDING, 2)
        else:
            proxy.hold_requests(APPENDING, 1)
        worker = workers.start(heartbeat_seconds=5)
        eventually(lambda: len(exchange.entries()) >= 3)
        if how == "reset":
            assert proxy.lost == 2
        else:
            assert proxy.held == 1
            seen = exchange.client.info("commandstats")["cmdstat_eval"]["calls"]
            proxy.let_go()
            eventually(lambda: exchange.client.info("commandstats")["cmdstat_eval"]["calls"] > seen)
        worker.says("Activity is written again after")
        assert worker.stop() == ExitCode.STOPPED
    events = [entry["eventId"] for entry in exchange.entries()]
    assert len(events) == len(set(events)) == 5
    assert exchange.path() == ["starting", "warming", "active", "stopping", "stopped"]
