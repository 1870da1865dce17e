"""Whether this installation is as it should be: one line per thing looked at, and what to do where it is not."""

from activity.doctor.examination import examine
from activity.doctor.lines import Level, Line

__all__ = ["Level", "Line", "examine"]
