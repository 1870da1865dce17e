"""Sends commands to worker processes and looks at what becomes of them."""

import json
from typing import Any
from uuid import UUID, uuid4

from activity.store.client import sync_client
from activity.store.commands import read_reports, send_command
from activity.wire.commands import Report
from tests.waiting import eventually


class Commander:
    """Somebody who steers one instance."""

    def __init__(self, redis_url: str, instance_id: str) -> None:
        self._client = sync_client(redis_url)
        self._instance_id = instance_id

    def send(self, kind: str, correlation_id: UUID | None = None, **payload: Any) -> UUID:
        """Append a command; its id."""
        correlation = correlation_id or uuid4()
        send_command(self._client, self._instance_id, correlation, kind, json.dumps(payload), "marta@example.org")
        return correlation

    def report(self, correlation_id: UUID) -> Report | None:
        """What became of it so far."""
        return read_reports(self._client, self._instance_id, [correlation_id])[0]

    def ended(self, correlation_id: UUID, *, within: float = 20.0) -> tuple[str, str]:
        """How it ended, and what was said."""

        def over() -> bool:
            report = self.report(correlation_id)
            return report is not None and report.progress != "acknowledged"

        eventually(over, within=within)
        report = self.report(correlation_id)
        assert report
        return report.progress, report.text

    def tell(self, kind: str, **payload: Any) -> tuple[str, str]:
        """Send it and wait for its end."""
        return self.ended(self.send(kind, **payload))

    def close(self) -> None:
        """Leave."""
        self._client.close()
