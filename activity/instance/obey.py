"""What each command does to this instance, and how its program is told of it. Documented in docs/worker.md."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Final

from activity.instance.carrier import Carrier
from activity.instance.inbox import CannotObey
from activity.instance.lifecycle import Lifecycle
from activity.instance.logger import ActivityLogger
from activity.instance.options import WorkerConfig
from activity.instance.orders import Orders
from activity.instance.registry import Registry
from activity.store.client import StoreUnavailable
from activity.store.ownership import Asked, Ownership
from activity.wire.commands import URGENT, CommandType, InstanceCommand, OneSymbol, ToMode, ToSettings, ToStandby, Who
from activity.wire.settings import SYMBOLS
from activity.wire.status import ConnectionState

#: Seconds that a hook may take.
HOOK_SECONDS: Final = 20.0
#: Seconds beyond the program's grace that its end may take.
REST_SECONDS: Final = 10.0
#: The owner hears of a handover with its next heartbeat, so this is several of them.
_HEEDED_MS: Final = 60_000
_RUNS: Final = (ConnectionState.STARTING, ConnectionState.WARMING, ConnectionState.ACTIVE)


class Obedience:
    """One instance's way of carrying out commands. `carrier` is the one of the present epoch.

    `urgent` is set while a stop or pause waits: a hook that runs for another command is killed then.
    """

    def __init__(
        self,
        config: WorkerConfig,
        registry: Registry,
        lifecycle: Lifecycle,
        logger: ActivityLogger,
        orders: Orders,
        ownership: Ownership,
        carrier: Callable[[], Carrier | None],
        urgent: asyncio.Event,
    ) -> None:
        self._config = config
        self._registry = registry
        self._lifecycle = lifecycle
        self._logger = logger
        self._orders = orders
        self._ownership = ownership
        self._carrier = carrier
        self._urgent = urgent
        self._ways: Final[dict[CommandType, Callable[[InstanceCommand], Awaitable[str]]]] = {
            CommandType.START: self._start,
            CommandType.STOP: self._stop,
            CommandType.PAUSE: self._pause,
            CommandType.RESUME: self._resume,
            CommandType.SWITCH_MODE: self._switch_mode,
            CommandType.RELOAD_SETTINGS: self._reload_settings,
            CommandType.ADD_SYMBOL: self._add_symbol,
            CommandType.REMOVE_SYMBOL: self._remove_symbol,
            CommandType.CLAIM: self._claim,
            CommandType.RELEASE: self._release,
            CommandType.HANDOVER: self._hand_over,
        }

    async def obey(self, command: InstanceCommand) -> str:
        """Carry it out; what was done, in words. Raises CannotObey, and ValueError for a payload that is none."""
        if not self._registry.holds():
            raise CannotObey("the instance no longer holds the exchange")
        return await self._ways[command.type](command)

    # --- start and stop ---

    def _present(self) -> Carrier:
        carrier = self._carrier()
        if carrier is None:
            raise CannotObey("the instance is between two epochs: send it again in a moment")
        return carrier

    async def _start(self, command: InstanceCommand) -> str:
        command.read_payload()
        carrier = self._present()
        if not self._orders.resting:
            raise CannotObey(f"it is {self._lifecycle.state} already: only an instance that was stopped starts")
        self._logger.cause = str(command.correlationId)
        try:
            async with asyncio.timeout(REST_SECONDS):
                await carrier.go()
        except TimeoutError:
            raise CannotObey("it has not begun to start in time") from None
        return "started"

    async def _stop(self, command: InstanceCommand) -> str:
        command.read_payload()
        if self._orders.resting:
            raise CannotObey("it is stopped already")
        await self._rest(command)
        self._unpause()
        return "stopped; the instance keeps the exchange and waits for a start"

    async def _rest(self, command: InstanceCommand) -> None:
        self._logger.cause = str(command.correlationId)
        try:
            async with asyncio.timeout(self._config.stop_grace + REST_SECONDS):
                await self._present().rest()
        except TimeoutError:
            raise CannotObey("the program has not ended in time; it is being killed") from None

    async def _restart(self, command: InstanceCommand) -> None:
        if not self._orders.resting:
            await self._rest(command)
            self._logger.cause = str(command.correlationId)
            await self._present().go()

    def _unpause(self) -> None:
        self._orders.paused = False
        self._registry.set_paused(paused=False)

    # --- what the program is told ---

    async def _tell(self, command: InstanceCommand, *, needed: bool = True) -> bool:
        """Tell the program. False where there is no way to, and it is not `needed`. Raises CannotObey."""
        if not self._config.program:
            return True  # a bare instance: nobody has to be told
        carrier = self._carrier()
        program = carrier.program if carrier else None
        kind, tell = command.type.value, self._config.tell
        if not tell.may(kind):
            if needed:
                raise CannotObey(f"the program has no way to be told of {kind}: start its worker with --tell")
            return False
        if program is None:
            if needed:
                raise CannotObey("no program runs now")
            return True  # it will be started with what holds then
        if kind in tell.signals:
            program.signal(tell.signals[kind])
        elif tell.stdin:
            line = {"command": kind, "payload": command.payload, "correlationId": str(command.correlationId)}
            try:
                program.tell(json.dumps(line))
            except OSError as error:
                raise CannotObey(f"the program does not read its standard input: {error}") from error
        else:
            await self._run_hook(command, program.main_pid)
        return True

    async def _run_hook(self, command: InstanceCommand, pid: int) -> None:
        values = {
            "type": command.type.value,
            "payload": json.dumps(command.payload),
            "correlation_id": str(command.correlationId),
            "exchange": self._config.exchange_name,
            "mode": self._orders.mode or "",
            "symbols": ",".join(self._orders.symbols),
            "pid": str(pid),
        }
        words = [_filled(word, values) for word in self._config.tell.hook]
        try:
            hook = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise CannotObey(f"the hook {words[0]!r} cannot be run: {error.strerror}") from error
        said = await self._end_of(hook, may_be_overtaken=command.type not in URGENT)
        if hook.returncode:
            lines = said.decode("utf-8", errors="replace").strip().splitlines()
            raise CannotObey(f"the hook ended with exit code {hook.returncode}: {lines[-1] if lines else 'no output'}")

    async def _end_of(self, hook: asyncio.subprocess.Process, *, may_be_overtaken: bool) -> bytes:
        """What it has said. Raises CannotObey where it was killed."""
        overtaken = self._urgent if may_be_overtaken else asyncio.Event()
        talking = asyncio.create_task(hook.communicate(), name="hook")
        waiting = asyncio.create_task(overtaken.wait(), name="what overtakes the hook")
        try:
            await asyncio.wait({talking, waiting}, timeout=HOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if talking.done():
                return talking.result()[0]
            if overtaken.is_set():
                raise CannotObey("a stop or pause overtook it: the hook was killed, and what it did is not known")
            raise CannotObey(f"the hook did not end within {HOOK_SECONDS:.0f} s and was killed")
        finally:
            waiting.cancel()
            if hook.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(hook.pid, signal.SIGKILL)  # what it has started goes with it, and lets go of its output
                await hook.wait()
            talking.cancel()  # somebody who left the hook's session may hold its output open
            await asyncio.wait({talking, waiting})

    async def _pause(self, command: InstanceCommand) -> str:
        command.read_payload()
        if self._orders.resting or self._lifecycle.state not in _RUNS:
            raise CannotObey(f"it is {self._lifecycle.state}: only one that runs can pause")
        await self._tell(command)
        self._orders.paused = True
        self._registry.set_paused(paused=True)
        return "paused"

    async def _resume(self, command: InstanceCommand) -> str:
        command.read_payload()
        if not self._orders.paused:
            raise CannotObey("it is not paused")
        await self._tell(command)
        self._unpause()
        return "goes on"

    async def _switch_mode(self, command: InstanceCommand) -> str:
        wanted: ToMode = command.read_payload()
        before, self._orders.mode = self._orders.mode, wanted.mode
        how = await self._told_or_restarted(command, undo=lambda: setattr(self._orders, "mode", before))
        self._registry.set_mode(wanted.mode)
        return f"mode {wanted.mode}, {how}"

    async def _reload_settings(self, command: InstanceCommand) -> str:
        wanted: ToSettings = command.read_payload()
        before = self._orders.mode, self._orders.symbols

        def undo() -> None:
            self._orders.mode, self._orders.symbols = before

        self._orders.mode, self._orders.symbols = wanted.mode or self._orders.mode, wanted.symbols
        how = await self._told_or_restarted(command, undo=undo)
        self._registry.set_mode(self._orders.mode)
        self._registry.set_symbol_count(len(wanted.symbols))
        return f"{len(wanted.symbols)} symbols, mode {self._orders.mode or 'not said'}, {how}"

    async def _told_or_restarted(self, command: InstanceCommand, undo: Callable[[], None]) -> str:
        """A program that can be told is told; another one is started anew with what holds now."""
        try:
            if await self._tell(command, needed=False):
                return "told" if self._config.program else "noted"
            await self._restart(command)
        except CannotObey:
            undo()
            raise
        return "waits for a start" if self._orders.resting else "the program was started anew"

    async def _add_symbol(self, command: InstanceCommand) -> str:
        one: OneSymbol = command.read_payload()
        if one.symbol in self._orders.symbols:
            raise CannotObey(f"{one.symbol} is followed already")
        if len(self._orders.symbols) >= SYMBOLS:
            raise CannotObey(f"{SYMBOLS} symbols are followed, which is the most")
        await self._tell(command)
        return self._follow((*self._orders.symbols, one.symbol))

    async def _remove_symbol(self, command: InstanceCommand) -> str:
        one: OneSymbol = command.read_payload()
        if one.symbol not in self._orders.symbols:
            raise CannotObey(f"{one.symbol} is not followed")
        await self._tell(command)
        return self._follow(tuple(symbol for symbol in self._orders.symbols if symbol != one.symbol))

    def _follow(self, symbols: tuple[str, ...]) -> str:
        self._orders.symbols = symbols
        self._registry.set_symbol_count(len(symbols))
        return f"{len(symbols)} symbols are followed"

    # --- who answers for it, and who holds it ---

    async def _claim(self, command: InstanceCommand) -> str:
        who: Who = command.read_payload()
        self._registry.set_admin(who.email, who.displayName)
        self._logger.set_admin_email(who.email)
        return f"{who.email} answers for it, shown from its next heartbeat on"

    async def _release(self, command: InstanceCommand) -> str:
        command.read_payload()
        self._registry.set_admin(None, None)
        self._logger.set_admin_email("")
        return "nobody answers for it, shown from its next heartbeat on"

    async def _hand_over(self, command: InstanceCommand) -> str:
        wanted: ToStandby = command.read_payload()
        try:
            answer = await self._ownership.request_handover(wanted.to, within_ms=_HEEDED_MS)
        except StoreUnavailable as error:
            raise CannotObey(f"the standby could not be asked for: {error}") from error
        if not isinstance(answer, Asked):
            raise CannotObey(f"{wanted.to} is no standby that is alive")
        self._logger.cause = str(command.correlationId)
        return f"stops with its next heartbeat and hands the exchange to {wanted.to}"


def _filled(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(f"{{{name}}}", value)
    return word
