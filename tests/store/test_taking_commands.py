"""Taking a command whose first answer was lost."""

import asyncio
import uuid

from activity.store.client import async_client, sync_client
from activity.store.commands import CommandBox, send_command
from tests.servers import RedisServer


def test_only_who_took_a_command_may_ask_again_and_nobody_once_it_has_ended(every_redis: RedisServer) -> None:
    correlation = uuid.uuid4()
    with sync_client(every_redis.url) as client:
        send_command(client, "i-1", correlation, "pause", "{}", "ann@example.org")

    async def take() -> list[str]:
        client = async_client(every_redis.url)
        ours, other = (CommandBox(client, client, "i-1") for _ in range(2))
        [delivery] = await ours.wait()
        answers: list[str] = [await box.take(delivery) for box in (ours, ours, other)]
        await ours.report(str(correlation), "succeeded", "")
        answers.append(await ours.take(delivery))
        await client.aclose()
        return answers

    assert asyncio.run(take()) == ["YOURS", "YOURS", "KNOWN", "KNOWN"]
