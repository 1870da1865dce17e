"""A look at who holds an exchange, without touching anything."""

from typing import Any

from activity.store.client import AsyncClient, redis_errors
from activity.store.ownership import Busy
from activity.wire.keys import status_key


async def read_holder(client: AsyncClient, exchange_id: int) -> Busy | None:
    """The status key's value and the milliseconds it has left, None where nobody holds it. Raises StoreUnavailable."""
    key = status_key(exchange_id)
    with redis_errors():
        pipeline: Any = client.pipeline(transaction=False)
        value, left = await pipeline.get(key).pttl(key).execute()
    # -2: the key ran out between the two commands.
    return None if value is None or left == -2 else Busy(value, left)
