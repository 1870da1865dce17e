"""A program that leaves a trace: ``python ticker.py FOLDER [stubborn]`` notes every moment in which it runs.

One file per process, named by instance and pid, with one line of CLOCK_BOOTTIME per 10 ms. Only the standard library.
"""

import os
import signal
import sys
import time
from pathlib import Path

if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
trace = Path(sys.argv[1]) / f"{os.environ['PERSEUS_INSTANCE_ID']}.{os.getpid()}.ticks"
with trace.open("w", buffering=1) as file:
    file.write(f"{time.clock_gettime(time.CLOCK_BOOTTIME):.3f}\n")
    print("up", flush=True)
    while True:
        time.sleep(0.01)
        file.write(f"{time.clock_gettime(time.CLOCK_BOOTTIME):.3f}\n")
