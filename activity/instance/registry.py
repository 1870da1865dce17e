"""The exchange that this process holds: claimed, kept, written and given back.

The only user of the ownership scripts. Lease times are seconds of CLOCK_BOOTTIME, which goes on during suspend. Nothing
is ever written again after `fence`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from activity.instance.console import LOG
from activity.instance.host import boottime
from activity.instance.words import describe_holder, fresh_status
from activity.store.client import StoreUnavailable
from activity.store.ownership import (
    Busy,
    Claimed,
    Conflict,
    Guarded,
    Handed,
    Held,
    Legacy,
    Missing,
    Ownership,
    Stolen,
    Taken,
    Vacant,
)
from activity.wire.clock import now_timestamp
from activity.wire.status import ConnectionState, InstanceStatus, read_status, ttl_seconds

#: The status carries the last error up to this many characters, since it travels to every viewer with each heartbeat.
#: The whole error is in the activity.
LAST_ERROR_CHARACTERS: Final = 4096
#: Work ends when no heartbeat has succeeded for this many intervals: 30 s of the 45 s that the key lives.
LEASE_INTERVALS: Final = 2
#: A program whose exchange is lost is gone this long before another instance may start work on it, or a third of an
#: interval where that is shorter.
MARGIN_SECONDS: Final = 1.0
#: Pause before a call that failed is made again, or a quarter of an interval where that is shorter.
RETRY_SECONDS: Final = 2.0
_AT_REGISTRATION: Final = ("registeredAt", "lastHeartbeat", "lastStateChange")


@dataclass(frozen=True, slots=True)
class Lost:
    """Why the exchange is no longer ours. `displaced`: somebody else holds it, so Redis answers us."""

    reason: str
    displaced: bool = False


class Registry:
    """One exchange's status as this process writes it. The exchange never changes: another one is another registry.

    Writing methods raise StoreUnavailable on Redis trouble, and say through `lost` that the exchange is gone.
    """

    def __init__(self, ownership: Ownership, status: InstanceStatus, clock: Callable[[], float] = boottime) -> None:
        """`status` is a fresh one; `claimed` tells what became of it."""
        self._ownership = ownership
        self._status = status
        self._clock = clock
        self._interval = status.heartbeatSeconds
        self._ttl = ttl_seconds(status.heartbeatSeconds)
        self._next_beat: dict[str, Any] = {}
        self._turn = asyncio.Lock()  # payloads reach Redis in the order in which they were made
        self._last_good = 0.0
        self.lost: Lost | None = None
        #: Set when something waits to be written at once, or the key is gone.
        self.changed = asyncio.Event()
        #: Set together with `lost`.
        self.fenced = asyncio.Event()
        #: Set while the key is gone and our lease still runs: this epoch is over, and work has to end before the next.
        self.vanished = asyncio.Event()
        #: The standby that the exchange is to be handed to; `asked` is set with it.
        self.hand_to = ""
        self.asked = asyncio.Event()
        #: Before this moment the predecessor may still be at work; only after a takeover.
        self.work_from = 0.0
        #: Called whenever the lease has become longer.
        self.on_renewed: set[Callable[[], None]] = set()

    @property
    def status(self) -> InstanceStatus:
        """The status as it would be written now."""
        return self._status

    @property
    def lease_until(self) -> float:
        """When work has to end unless a heartbeat succeeds before."""
        return self._last_good + LEASE_INTERVALS * self._interval

    @property
    def vacant_at(self) -> float:
        """Before this moment nobody else starts work on the exchange: the key's TTL, counted from before sending."""
        return self._last_good + self._ttl

    @property
    def gone_by(self) -> float:
        """When the program of a lost exchange must have ended: a little before `vacant_at`."""
        return self.vacant_at - min(MARGIN_SECONDS, self._interval / 3)

    def begin(self) -> None:
        """Begin anew as an instance that registers now: a standby has waited since its process started."""
        now = now_timestamp()
        self._status = self._status.model_copy(update=dict.fromkeys(_AT_REGISTRATION, now))

    def claimed(self, claim: Claimed, sent_at: float) -> None:
        """The exchange is ours. `sent_at` is the clock before the claim was sent."""
        self._status = self._status.model_copy(update={"epoch": claim.epoch})
        self._renew(sent_at)

    async def take_over(self, shown: str) -> Taken | Conflict | Vacant:
        """Take the exchange from the holder with the token `shown`. Work may start at `work_from`."""
        sent_at = self._clock()
        answer = await self._ownership.takeover(self._status, ttl_seconds=self._ttl, shown=shown)
        if isinstance(answer, Taken):
            self._status = self._status.model_copy(update={"epoch": answer.epoch})
            self.work_from = self._clock() + answer.delay_ms / 1000
            # The key has only what its old owner left of the TTL: beat at once, before any lease is counted on.
            sent_at = self._clock()
            beaten = await self._ownership.heartbeat(self._status, ttl_seconds=self._ttl)
            if not isinstance(beaten, Held):
                holder = getattr(beaten, "holder", b"")
                return Conflict(holder, 0, await self._ownership.identify(holder)) if holder else Vacant()
            self._renew(sent_at)
        return answer

    async def predecessor_stopped(self) -> bool:
        """After a takeover: whether the old owner has said that it no longer works."""
        record = await self._ownership.record()
        return record.epoch == self._status.epoch and record.delay_until_ms == 0

    def _renew(self, sent_at: float) -> None:
        self._last_good = sent_at
        for tell in tuple(self.on_renewed):
            tell()

    # --- what waits for the next heartbeat (contract, section 1) ---

    def set_admin(self, email: str | None, display_name: str | None) -> None:
        """Who answers for the instance; None: nobody does."""
        self._next_beat |= {"adminEmail": email, "adminDisplayName": display_name}

    def set_symbol_count(self, count: int) -> None:
        """How many symbols are followed."""
        self._next_beat["symbolCount"] = count

    def set_address(self, ip: str, country: str | None) -> None:
        """The public address, once it is known."""
        self._next_beat |= {"ipAddress": ip, "countryCode": country}

    # --- what is written at once ---

    def set_mode(self, mode: str | None) -> None:
        """The mode that it runs in from now on. The heartbeat's task writes it."""
        self._status = self._status.model_copy(update={"mode": mode})
        self.changed.set()

    def set_paused(self, *, paused: bool) -> None:
        """Told to pause, or to go on. The heartbeat's task writes it."""
        self._status = self._status.model_copy(update={"paused": paused})
        self.changed.set()

    async def set_state(self, state: ConnectionState, moment: str) -> None:
        """A transition that happened at `moment`."""
        change: dict[str, Any] = {"connectionState": state, "lastStateChange": moment}
        if state == ConnectionState.ACTIVE:
            change["connectedAt"] = moment
        elif state == ConnectionState.STARTING:
            change["connectedAt"] = None  # a fresh start is not connected yet
        self._status = self._status.model_copy(update=change)
        await self.write()

    def record_error(self, text: str, moment: str) -> None:
        """The last error. Kept here even while the key is gone; the heartbeat's task writes it at once."""
        if (more := len(text) - LAST_ERROR_CHARACTERS) > 0:
            text = f"{text[:LAST_ERROR_CHARACTERS]}… [{more} more characters: the whole error is in the activity]"
        self._status = self._status.model_copy(update={"lastError": text, "lastErrorAt": moment})
        self.changed.set()

    async def write(self) -> None:
        """Bring the status to Redis without touching its TTL."""
        if not self.holds():
            return  # without waiting for a turn: a heartbeat that hangs must not hold up a fenced worker's stop
        async with self._turn:
            if self.holds():
                answer = await self._ownership.update(self._status, ttl_seconds=self._ttl)
                if not isinstance(answer, Held):
                    self._not_held(answer)

    async def beat(self) -> None:
        """One heartbeat: the full status, with what waited for it, and the TTL back to three intervals."""
        async with self._turn:
            if not self.holds():
                return
            self._status = self._status.model_copy(update={**self._next_beat, "lastHeartbeat": now_timestamp()})
            self._next_beat.clear()
            sent_at = self._clock()
            answer = await self._ownership.heartbeat(self._status, ttl_seconds=self._ttl)
            if self.lost is not None:
                return  # fenced while the answer was under way: this epoch is over, whatever the answer says
            if isinstance(answer, Held):
                self._renew(sent_at)
                if answer.hand_to and not self.hand_to:
                    self.hand_to = answer.hand_to
                    self.asked.set()
            else:
                self._not_held(answer)

    async def release(self) -> None:
        """Give the exchange back; nothing is written afterwards. Work must have ended.

        Where the exchange was taken, its successor learns that it need not wait any longer.
        """
        async with self._turn:
            answer = await self._ownership.release(
                self._status, hand_to=self.hand_to, within_ms=self._interval * 1000 if self.hand_to else 0
            )
            if self.lost is None:
                self.lost = Lost("released")
                if isinstance(answer, Stolen | Legacy):
                    LOG.warning("The exchange was already held by %s", describe_holder(answer.holder))

    def holds(self) -> bool:
        """Whether the exchange is ours at this moment by our own clock: asked before every side effect."""
        if self.lost is None and not self.vanished.is_set() and self._clock() >= self.lease_until:
            self.fence("no heartbeat has succeeded for two intervals, another instance may take the exchange soon")
        return self.lost is None and not self.vanished.is_set()

    def may_record(self) -> bool:
        """Whether an entry may still be appended: not after the moment at which somebody else may have started work."""
        return self._clock() < self.vacant_at

    def fence(self, reason: str, *, displaced: bool = False) -> None:
        """Stop being the owner, for good: nothing is written any more, not even by a call that is under way."""
        if self.lost is None:
            self.lost = Lost(reason, displaced=displaced)
            self.fenced.set()
            self.changed.set()

    def _not_held(self, answer: Guarded) -> None:
        if isinstance(answer, Missing):
            LOG.warning("The status key is gone from Redis: epoch %d is over", self._status.epoch)
            self.vanished.set()
        elif isinstance(answer, Stolen | Legacy):
            self.fence(f"the exchange is now held by {describe_holder(answer.holder)}", displaced=True)

    async def claim_anew(self) -> None:
        """After the key has vanished and work has ended: claim the exchange again, under a higher epoch, or fence.

        Goes on while Redis is away, for as long as a key lives.
        """
        deadline = self._clock() + self._ttl
        first_sent = self._clock()
        while self.lost is None:
            sent_at = self._clock()
            try:
                async with self._turn:
                    answer = await self._ownership.claim(
                        self._status, ttl_seconds=self._ttl, epoch_floor=self._status.epoch
                    )
            except StoreUnavailable as error:
                LOG.warning("The exchange could not be claimed anew, trying again: %s", error)
            else:
                if isinstance(answer, Busy) and (epoch := self._own_epoch(answer.holder)):
                    answer, sent_at = Claimed(epoch, answer.holder), first_sent  # by a call whose reply was lost
                if isinstance(answer, Claimed):
                    self.vanished.clear()
                    self.claimed(answer, sent_at)
                    LOG.info("Claimed anew under epoch %d", answer.epoch)
                    return
                if isinstance(answer, Busy):
                    holder = describe_holder(answer.holder)
                    self.fence(f"the key was gone, and the exchange is now held by {holder}", displaced=True)
                    return
                if isinstance(answer, Handed):
                    self.fence(f"the key was gone, and the exchange is being handed to {answer.to}", displaced=True)
                    return
            if self._clock() >= deadline:
                self.fence("the key was gone, and the exchange could not be claimed anew")
            else:
                await asyncio.sleep(min(RETRY_SECONDS, self._interval / 4))

    def _own_epoch(self, holder: bytes) -> int:
        """The epoch of a holder that is this very process under an epoch that it was never told, else 0."""
        found = read_status(holder).status
        if found is None or found.instanceId != self._status.instanceId:
            return 0
        return found.epoch if found.epoch and found.epoch > self._status.epoch else 0


__all__ = ["Lost", "Registry", "StoreUnavailable", "describe_holder", "fresh_status"]
