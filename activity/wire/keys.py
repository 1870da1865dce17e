"""Names of every Redis key. The status is keyed by the exchange's id, its activity by the exchange's name."""

import re

#: Exchange names are slugs in lower case (contract, section 3: the stream is keyed by the normalised name).
EXCHANGE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def status_key(exchange_id: int) -> str:
    """``exchange:{id}:status``: one JSON string. The key's existence is liveness, and the key is the lock.

    Raises ValueError for an id below 1: an idle process has a placeholder id 0 that is never written to Redis.
    """
    if exchange_id < 1:
        raise ValueError(f"exchange id {exchange_id} is never written to Redis: ids start at 1")
    return f"exchange:{exchange_id}:status"


def ownership_key(exchange_id: int) -> str:
    """The hash beside the status key, without TTL: epoch, owner, state and more (store/lua/_identity.lua).

    The hash tag is the status key's whole name, so both live in one slot of a Redis Cluster and one script may
    touch both.
    """
    return f"{{{status_key(exchange_id)}}}:own"


def standbys_key(exchange_id: int) -> str:
    """The hash of the exchange's standbys: instanceId to a JSON object. Same slot as the status."""
    return f"{{{status_key(exchange_id)}}}:standbys"


def standbys_until_key(exchange_id: int) -> str:
    """The sorted set beside it: instanceId to the millisecond, by Redis' clock, until which the standby is alive."""
    return f"{{{status_key(exchange_id)}}}:standbys:until"


def commands_key(instance_id: str) -> str:
    """``{commands:<instanceId>}``: the stream of commands to one instance. Vanishes a day after the last one."""
    return f"{{commands:{instance_id}}}"


def taken_key(instance_id: str) -> str:
    """The hash beside it: correlationId to what became of the command. Same slot."""
    return f"{{commands:{instance_id}}}:taken"


#: The pool of instances that wait for an exchange: a hash and a sorted set, as those of standbys.
IDLE_KEY = "{instances:idle}"
IDLE_UNTIL_KEY = "{instances:idle}:until"


def reset_key(run_id: str) -> str:
    """``registry:reset:{run_id}``: what the watchers agreed to say about a reset of this Redis; lives 5 minutes."""
    return f"registry:reset:{run_id}"


def stream_key(exchange_name: str) -> str:
    """``logs:network:{name}``: the exchange's activity, one Redis Stream. Raises ValueError for what is no name."""
    name = exchange_name.lower()
    if not EXCHANGE_NAME.fullmatch(name):
        raise ValueError(f"{exchange_name!r} is no exchange name: lower-case letters, digits, '_' and '-' only")
    return f"logs:network:{name}"
