"""A small program for demo instances: ``python -m activity.instance.demo quiet|errors|slow|crash``.

It trades nothing and asks no exchange: prices are a random walk. What it shows is real: it runs under a worker like any
program, speaks sd_notify over NOTIFY_SOCKET in plain Python, prints its log, and ends in order on SIGTERM.

quiet   active within seconds, a line now and then, no errors
errors  the same, with a line that begins with ERROR after 3 s, then every 5 to 20 s: start its worker with
        --error-pattern '^ERROR'
slow    warms up for ten minutes, with STATUS and EXTEND_TIMEOUT_USEC, then is active
crash   ends itself by SIGKILL between 30 and 90 s after it became active: start its worker with --restart on-failure

A worker that is itself killed with SIGKILL is shown by killing it from outside: nothing in here kills its worker.
"""

import argparse
import os
import random
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Final

_SYMBOLS: Final = {"BTC/USD": 91_400.0, "ETH/USD": 3_120.0, "SOL/USD": 188.0, "ADA/USD": 0.61}
_ERRORS: Final = (
    "{symbol}: order book checksum mismatch (expected {a}, computed {b}), taking a new snapshot",
    "{symbol}: sequence gap in the trade feed, {n} messages missing between {a} and {b}",
    "websocket closed by the exchange with 1006, connecting again (attempt {n})",
    "{symbol}: candle 1m came {n} s late",
    "REST /0/public/Depth?pair={symbol} timed out after {n} s",
)
_SLOW_SECONDS: Final = 600.0
_SAY_SECONDS: Final = 30.0


class Feed:
    """A simulated market: each symbol's price walks at random."""

    def __init__(self, symbols: list[str], chance: random.Random) -> None:
        self._chance = chance
        self.prices = {symbol: _SYMBOLS.get(symbol, 100.0) for symbol in symbols}
        self.ticks = 0

    def tick(self) -> None:
        """One message of the feed."""
        symbol = self._chance.choice(list(self.prices))
        self.prices[symbol] *= 1 + self._chance.gauss(0, 0.0004)
        self.ticks += 1

    def error(self) -> str:
        """Something that goes wrong with a real feed."""
        a = self._chance.randrange(10**8, 10**9)
        return self._chance.choice(_ERRORS).format(
            symbol=self._chance.choice(list(self.prices)),
            n=self._chance.randrange(2, 30),
            a=a,
            b=a + self._chance.randrange(2, 30),
        )


class Demo:
    """The program. `stop` may be called by a signal handler."""

    def __init__(self, behaviour: str) -> None:
        # A simulation: repeatable chances are no secret.
        self._chance = random.Random()  # noqa: S311
        symbols = [symbol for symbol in os.environ.get("PERSEUS_SYMBOLS", "").split(",") if symbol]
        self._behaviour = behaviour
        self._feed = Feed(symbols or list(_SYMBOLS), self._chance)
        self._stop = threading.Event()

    def stop(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT."""
        self._stop.set()

    def run(self) -> int:
        """Warm up, follow the feed, end in order. The exit code."""
        count = len(self._feed.prices)
        say(f"demo program ({self._behaviour}) for {os.environ.get('PERSEUS_EXCHANGE') or 'no exchange'}")
        if not self._warm_up():
            return self._end()
        notify("READY=1", f"X_SYMBOL_COUNT={count}", f"STATUS=demo: following {count} simulated symbols")
        say(f"connected, following {', '.join(self._feed.prices)}")
        self._follow()
        return self._end()

    def _warm_up(self) -> bool:
        steps = 60 if self._behaviour == "slow" else 4
        seconds = _SLOW_SECONDS / steps if self._behaviour == "slow" else self._chance.uniform(0.5, 1.0)
        for step in range(1, steps + 1):
            # Longer than one step may take: a start timeout of the worker runs on from here.
            notify(f"STATUS=demo: loading history, {step} of {steps}", f"EXTEND_TIMEOUT_USEC={int(seconds * 2e6)}")
            if self._stop.wait(seconds):
                return False
        return True

    def _follow(self) -> None:
        until_error = 3.0  # the first one soon, so that there is something to see
        until_line = 1.0
        until_crash = self._chance.uniform(30, 90)
        step = 0.25
        while not self._stop.wait(step):
            self._feed.tick()
            notify("WATCHDOG=1")
            until_error, until_line, until_crash = until_error - step, until_line - step, until_crash - step
            if until_line <= 0:
                until_line = _SAY_SECONDS
                symbol, price = next(iter(self._feed.prices.items()))
                say(f"{self._feed.ticks} messages, {symbol} at {price:.2f}")
            if self._behaviour == "errors" and until_error <= 0:
                until_error = self._pause()
                say(f"ERROR {self._feed.error()}")
            if self._behaviour == "crash" and until_crash <= 0:
                say("this demo ends itself by SIGKILL now")
                os.kill(os.getpid(), signal.SIGKILL)

    def _pause(self) -> float:
        return self._chance.uniform(5, 20)

    def _end(self) -> int:
        notify("STOPPING=1", "STATUS=demo: closing connections")
        say("closing connections")
        return 0


def notify(*assignments: str) -> None:
    """Tell the worker; nothing where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto("\n".join(assignments).encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def say(line: str) -> None:
    """One line of the program's own log."""
    print(line, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m activity.instance.demo", description="Program of demo instances")
    parser.add_argument("behaviour", nargs="?", default="quiet", choices=("quiet", "errors", "slow", "crash"))
    demo = Demo(parser.parse_args(arguments).behaviour)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, demo.stop)
    return demo.run()


if __name__ == "__main__":
    sys.exit(main())
