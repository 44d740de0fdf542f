"""The program `caas`: what operators type. Every installed distribution may bring commands (`caas.commands`).

An entry point of that group names a cyclopts application: `audit = "caas_payments.command_line:audit"` is
`caas audit ...`. Exit codes: 0 all is well, 1 something is wrong, 2 it could not be found out, or wrong arguments.
"""

import sys
from importlib.metadata import entry_points
from typing import Final

import cyclopts

GROUP: Final = "caas.commands"
COULD_NOT: Final = 2


def main() -> None:
    """Run the command that was typed."""
    try:
        program()(exit_on_error=False)
    except cyclopts.CycloptsError:  # It has been said on the terminal what was wrong.
        sys.exit(COULD_NOT)


def program() -> cyclopts.App:
    """The program with the commands of all installed distributions."""
    app = cyclopts.App(name="caas", help="Operations of the CaaS payment platform.")
    for command in sorted(entry_points(group=GROUP), key=lambda found: found.name):
        app.command(command.load(), name=command.name)
    return app


if __name__ == "__main__":
    main()
