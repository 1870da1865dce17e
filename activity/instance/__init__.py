"""The worker: one exchange instance, alone or carrying a program. Imports neither Django nor redis.

agent.py is the whole; registry.py holds the exchange, heartbeat.py keeps it, lifecycle.py moves through the states,
logger.py writes the activity, carrier.py runs a program (program.py, notify.py, launch.py).
"""

from typing import Final

#: Version of the software that an instance reports; a test keeps it equal to pyproject.toml.
VERSION: Final = "0.1.0"
