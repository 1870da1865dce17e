"""One life of the program: spawned, prepared, active, ended. What it says moves the states; how it ends is recorded."""

import asyncio
from dataclasses import dataclass
from typing import Final

from activity.instance.console import LOG
from activity.instance.lifecycle import Lifecycle
from activity.instance.logger import ActivityLogger
from activity.instance.notify import Message, NotifySocket
from activity.instance.options import WorkerConfig
from activity.instance.orders import Orders
from activity.instance.program import KEPT_LINES, LEFTOVER_SECONDS, Ended, Program
from activity.instance.redaction import LineRedactor
from activity.instance.registry import Registry
from activity.instance.said import Said
from activity.instance.tasks import Tasks
from activity.wire.status import ConnectionState

#: After this long in warming without a word over NOTIFY_SOCKET, the log says how else a program becomes active.
HINT_SECONDS: Final = 60.0
#: Ends of a program that was asked to end: as it likes with 0, by our signals, or with a shell's way of saying so.
_ASKED_ENDS: Final = frozenset({0, -2, -9, -15, 130, 137, 143})


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How it went: in order (asked for or announced), and how long it was active."""

    orderly: bool
    active_seconds: float = 0.0


class ProgramRun:
    """Handlers only note what was said and wake the one loop, `_watch`, that acts on it."""

    def __init__(
        self,
        config: WorkerConfig,
        registry: Registry,
        lifecycle: Lifecycle,
        logger: ActivityLogger,
        tasks: Tasks,
        lock: int,
        orders: Orders,
    ) -> None:
        """`lock` is the descriptor of the exchange's lock on this host."""
        self._orders = orders
        self._program: Program | None = None
        self._config = config
        self._registry = registry
        self._lifecycle = lifecycle
        self._logger = logger
        self._tasks = tasks
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._redactor = LineRedactor()
        self._stop_grace: float | None = None
        self._said = Said(config.watchdog)
        self._failed = ""
        self._spawned_at = self._active_at = 0.0
        self._start_by: float | None = None
        self._end_by: float | None = None
        self._terminated = False
        self._killed = False
        self._hint_at: float | None = None

    def stop(self, grace: float) -> None:
        """Ask for the end, or for a sooner one: `grace` seconds between SIGTERM and SIGKILL."""
        self._stop_grace = grace
        if self._end_by is not None:
            self._end_by = min(self._end_by, self._loop.time() + grace)
        self._woken.set()

    @property
    def program(self) -> Program | None:
        """The running program, once it was spawned and until it has ended."""
        return self._program if self._program and not self._program.ended.done() else None

    async def carry(self) -> RunEnd:
        """From idle to stopped (or to idle, where it failed before it was active)."""
        await self._lifecycle.to(ConnectionState.STARTING)
        if not self._registry.holds():
            return RunEnd(orderly=True)  # lost meanwhile: nothing is started any more
        notify = NotifySocket()
        try:
            try:
                program = self._spawn(notify)
            except OSError as error:  # no memory or no process to spare: passes, so it is no fault of the worker
                await self._logger.record_error(f"The program could not be started: {error.strerror}")
                await self._come_to_rest(recover=True)
                return RunEnd(orderly=False)
            return await self._carry(program, notify)
        finally:
            notify.close()

    def _spawn(self, notify: NotifySocket) -> Program:
        program = Program.spawn(
            self._config.program,
            self._environment(notify),
            lock=self._lock,
            # The key outlives the last heartbeat by two intervals at least: the program is gone well before.
            guard_grace=min(self._config.stop_grace, self._config.heartbeat_seconds),
            folder=notify.folder,
            told_by_stdin=self._config.tell.stdin,
        )
        self._program = program
        self._spawned_at = self._loop.time()
        LOG.info("Program started, pid %d: %s", program.pid, self._config.program[0])
        return program

    def _environment(self, notify: NotifySocket) -> dict[str, str]:
        environment = {
            "NOTIFY_SOCKET": str(notify.path),
            "PERSEUS_EXCHANGE": self._config.exchange_name,
            "PERSEUS_MODE": self._orders.mode or "",
            "PERSEUS_SYMBOLS": ",".join(self._orders.symbols),
            "PERSEUS_INSTANCE_ID": self._registry.status.instanceId,
            "PYTHONUNBUFFERED": "1",  # or a Python program's lines would arrive by the 8 KB
        }
        if self._config.watchdog is not None:
            environment["WATCHDOG_USEC"] = str(int(self._config.watchdog * 1_000_000))
        return environment

    async def _carry(self, program: Program, notify: NotifySocket) -> RunEnd:
        program.ended.add_done_callback(lambda _: self._woken.set())

        def tell() -> None:
            program.lease(self._registry.lease_until, self._registry.gone_by)

        self._registry.on_renewed.add(tell)
        tell()
        output = self._tasks.start("program-output", self._read(program), may_end=True)
        listener = self._tasks.start("program-notify", self._listen(program, notify))
        try:
            self._start_by = self._after(self._config.start_timeout)
            self._hint_at = None if self._knows_ready else self._spawned_at + HINT_SECONDS
            await self._lifecycle.to(ConnectionState.WARMING)
            await self._watch(program)
            # What it said with its last breath counts: the messages and lines that it sent before it ended.
            await self._tasks.cancel(listener)
            while message := notify.receive_now():
                self._heed(message, program)
            await program.close()
            _, unread = await asyncio.wait([output], timeout=LEFTOVER_SECONDS)
            if unread:
                LOG.warning("The program's last output is not read: another process holds it open, or Redis is away")
            return await self._conclude(program, program.ended.result())
        finally:
            self._registry.on_renewed.discard(tell)
            await self._tasks.cancel(listener, output)
            if not program.closed:
                await program.close()

    @property
    def _knows_ready(self) -> bool:
        return self._config.ready_after is not None or self._config.ready_pattern is not None

    def _after(self, seconds: float | None) -> float | None:
        return None if seconds is None else self._loop.time() + seconds

    # --- what the program says ---

    async def _read(self, program: Program) -> None:
        async for line in program.lines():
            if self._config.ready_pattern and not self._said.ready and self._config.ready_pattern.search(line):
                self._said.ready = True
                self._woken.set()
            shown = self._redactor.line(line)
            program.tail.append(shown)
            LOG.info("| %s", shown)
            if self._config.error_pattern and self._config.error_pattern.search(line):
                await self._logger.record_error(shown)

    async def _listen(self, program: Program, notify: NotifySocket) -> None:
        while True:
            self._heed(await notify.receive(), program)

    def _heed(self, message: Message, program: Program) -> None:
        said = self._said
        said.heed(message, program.set_main_pid, self._registry.set_symbol_count)
        if self._start_by is not None:
            self._start_by = max(self._start_by, said.extended_until)
        if self._end_by is not None and self._registry.lost is None:  # a lost exchange waits for nobody
            self._end_by = max(self._end_by, said.extended_until)
        self._woken.set()

    # --- what is done about it ---

    async def _watch(self, program: Program) -> None:
        """Until the program has ended. The only place that changes states or sends signals while it runs."""
        while not program.ended.done():
            self._woken.clear()
            state = self._lifecycle.state
            now = self._loop.time()
            if self._stop_grace is not None and not self._terminated:
                await self._begin_stop(program)
            elif self._said.stopping and self._end_by is None:
                self._end_by = now + self._config.stop_grace
                await self._lifecycle.to(ConnectionState.STOPPING)
            elif self._end_by is not None:
                if now >= self._end_by:
                    await self._kill(program)
            elif self._overdue(state, now):
                await self._give_up(program)
            elif state == ConnectionState.WARMING and self._is_ready(now):
                self._active_at = self._said.pinged_at = self._loop.time()
                await self._lifecycle.to(ConnectionState.ACTIVE)
                self._said.pinged_at = max(self._said.pinged_at, self._loop.time())
            else:
                self._hint(now)
                await self._wait(self._next_deadline(state))
                continue
            if self._end_by is not None:
                await self._wait(self._end_by)

    def _is_ready(self, now: float) -> bool:
        after = self._config.ready_after
        return self._said.ready or (after is not None and now >= self._spawned_at + after)

    def _overdue(self, state: ConnectionState, now: float) -> bool:
        """Whether it has failed though it still runs: it says so, or a deadline has passed. Notes which."""
        if self._said.stuck:
            self._failed = "The program reported by WATCHDOG=trigger that it is stuck"
        elif state == ConnectionState.WARMING and self._start_by is not None and now >= self._start_by:
            if not self._is_ready(now):
                self._failed = f"The program was not ready {now - self._spawned_at:.1f} s after its start"
        elif (
            state == ConnectionState.ACTIVE
            and self._said.watchdog
            and now >= self._said.pinged_at + self._said.watchdog
        ):
            self._failed = f"The program missed its watchdog: no WATCHDOG=1 for {now - self._said.pinged_at:.1f} s"
        return bool(self._failed)

    def _next_deadline(self, state: ConnectionState) -> float | None:
        deadlines: list[float | None] = []
        if state == ConnectionState.WARMING:
            after = self._config.ready_after
            deadlines = [self._start_by, self._hint_at, None if after is None else self._spawned_at + after]
        elif state == ConnectionState.ACTIVE and self._said.watchdog:
            deadlines = [self._said.pinged_at + self._said.watchdog]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _hint(self, now: float) -> None:
        if self._hint_at is not None and now >= self._hint_at:
            self._hint_at = None
            if not self._said.spoke:
                LOG.info(
                    "The program stays warming until it sends READY=1 over NOTIFY_SOCKET. "
                    "One that does not speak sd_notify needs --ready-after or --ready-pattern"
                )

    async def _wait(self, deadline: float | None) -> None:
        timeout = None if deadline is None else max(0.0, deadline - self._loop.time())
        try:
            async with asyncio.timeout(timeout):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _begin_stop(self, program: Program) -> None:
        self._terminated = True
        if self._lifecycle.may(ConnectionState.STOPPING):
            await self._lifecycle.to(ConnectionState.STOPPING)
        grace = self._stop_grace or 0.0  # read now: a second signal may have shortened it meanwhile
        self._end_by = self._loop.time() + grace
        if grace > 0:
            program.terminate()

    async def _give_up(self, program: Program) -> None:
        """A missed deadline: ask it to end, and count it as failed however it ends."""
        LOG.error("%s", self._failed)
        self._end_by = self._loop.time() + self._config.stop_grace
        if self._lifecycle.state == ConnectionState.ACTIVE:
            program.abort()  # as systemd does: a core may show where it hangs
        else:
            program.terminate()

    async def _kill(self, program: Program) -> None:
        if not self._killed:
            self._killed = True
            LOG.warning("The program has not ended in time: SIGKILL")
            program.kill()
        # Only a process in the kernel's hands survives SIGKILL for a while; there is nothing more to do than wait.
        self._end_by = self._loop.time() + self._config.heartbeat_seconds

    async def _conclude(self, program: Program, ended: Ended) -> RunEnd:
        seconds = self._loop.time() - self._active_at if self._active_at else 0.0
        asked = self._stop_grace is not None
        orderly = not self._failed and (ended.code in _ASKED_ENDS if asked else self._said.stopping and ended.code == 0)
        LOG.info("Program ended with %s", ended)
        overstayed = self._killed and self._stop_grace != 0  # with a grace of 0 it was never asked to end by itself
        if not orderly or overstayed:
            await self._logger.record_error(self._epitaph(program, ended, asked=asked))
        await self._come_to_rest(recover=not (orderly or asked))
        return RunEnd(orderly=orderly or asked, active_seconds=seconds)

    def _epitaph(self, program: Program, ended: Ended, *, asked: bool) -> str:
        if self._failed:
            text = f"{self._failed}. It was stopped and ended with {ended}"
        elif self._killed:
            text = f"The program did not end within its grace and was killed ({ended})"
        elif asked or self._said.stopping:
            text = f"The program ended with {ended} while stopping"
        else:
            seconds = self._loop.time() - self._spawned_at
            text = f"The program ended unexpectedly with {ended}, {seconds:.1f} s after its start"
        if not program.tail:
            return f"{text}. It has written no output"
        return f"{text}. The last lines of its output (at most {KEPT_LINES}):\n" + "\n".join(program.tail)

    async def _come_to_rest(self, *, recover: bool) -> None:
        if recover and self._lifecycle.state in (ConnectionState.STARTING, ConnectionState.WARMING):
            await self._lifecycle.to(ConnectionState.IDLE)  # the contract's edges for error recovery
            return
        for state in (ConnectionState.STOPPING, ConnectionState.STOPPED):
            if self._lifecycle.may(state):
                await self._lifecycle.to(state)
