"""How a web process ends."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.servers import RedisServer
from tests.waiting import eventually
from tests.web import WebServer


def ask(web: WebServer) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", web.port), timeout=20)
    head = (
        f"GET /exchanges/kraken/ HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nCookie: {web.cookie()}\r\n"
        "Connection: close\r\n\r\n"
    )
    connection.sendall(head.encode())
    return connection


def read(connection: socket.socket) -> bytes:
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def threads(web: WebServer) -> int:
    assert web.process is not None
    return len(list(Path(f"/proc/{web.process.pid}/task").iterdir()))


def test_a_web_process_that_is_told_to_end_finishes_the_requests_under_way(
    own_web: WebServer, own_redis: RedisServer
) -> None:
    with own_redis.client() as client:
        client.client_pause(2000)
    asked = [ask(own_web) for _ in range(8)]
    eventually(lambda: threads(own_web) > len(asked))  # each waits for Redis in a thread of its own
    with ThreadPoolExecutor(len(asked)) as readers:
        answers = [readers.submit(read, one) for one in asked]
        own_web.stop()
    for answer in answers:
        assert answer.result().startswith(b"HTTP/1.1 200")
        assert answer.result().rstrip().endswith((b"</html>", b"0"))  # whole, also as the last of its chunks
