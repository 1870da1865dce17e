"""A look at who holds an exchange, without touching anything."""

from activity.store.client import AsyncClient
from activity.store.ownership import Busy
from activity.store.pipelines import read_many, whole
from activity.wire.keys import status_key


async def read_holder(client: AsyncClient, exchange_id: int) -> Busy | None:
    """The status key's value and the milliseconds it has left, None where nobody holds it. Raises StoreUnavailable."""
    key = status_key(exchange_id)
    value, left = whole(await read_many(client, [("GET", key), ("PTTL", key)]))
    # -2: the key ran out between the two commands.
    return None if value is None or left == -2 else Busy(value, left)
