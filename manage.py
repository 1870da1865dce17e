#!/usr/bin/env python
"""The command line of Perseus. `manage.py help` lists what it can do."""

import os
import sys


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "perseus_admin.settings")
    if sys.argv[1:2] == ["up"] and not {"-h", "--help"} & set(sys.argv):
        # `up` is the one command that makes its settings instead of reading them: the data folder and its secret.
        from perseus_admin.config import adopt_data_folder

        adopt_data_folder(sys.argv[2:])
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
