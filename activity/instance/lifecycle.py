"""The six states (contract, section 2), each transition written at once and logged."""

from activity.instance.console import LOG
from activity.instance.logger import ActivityLogger
from activity.instance.registry import Registry
from activity.store.client import StoreUnavailable
from activity.wire.clock import now_timestamp
from activity.wire.status import TRANSITIONS, ConnectionState

#: Where a command that moved the instance has led to what it was for: later transitions have other causes.
_ARRIVED = frozenset({ConnectionState.ACTIVE, ConnectionState.STOPPED})


class IllegalTransitionError(Exception):
    """The contract has no such edge: a fault in the worker."""


class Lifecycle:
    """Where the instance is. An error never changes it; only `to` does."""

    def __init__(self, registry: Registry, logger: ActivityLogger) -> None:
        self._registry = registry
        self._logger = logger

    @property
    def state(self) -> ConnectionState:
        """The present state."""
        return self._registry.status.connectionState

    def may(self, state: ConnectionState) -> bool:
        """Whether the contract has an edge to that state."""
        return state in TRANSITIONS[self.state]

    async def to(self, state: ConnectionState) -> None:
        """Go there. Raises IllegalTransitionError; trouble with Redis is said, and the next heartbeat carries it."""
        before = self.state
        if not self.may(state):
            raise IllegalTransitionError(f"{before} → {state} is no transition of the contract")
        moment = now_timestamp()
        try:
            # The status first: whoever is woken by the entry finds the new state in it.
            await self._registry.set_state(state, moment)
        except StoreUnavailable as error:
            LOG.warning("State %s could not be written, the next heartbeat carries it: %s", state, error)
        await self._logger.transition(before, state, moment)
        LOG.info("%s → %s", before, state)
        if state in _ARRIVED:
            self._logger.cause = ""
