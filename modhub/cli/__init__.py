"""The command line. Every command parses, calls ``modhub.ops`` and prints: data on stdout, everything else on stderr.

A command is one file, imported when it is used, and imports what it needs beyond click when it runs: ``--help`` costs
an interpreter and click, and no command waits for a library that it does not use. What goes wrong, from a mistyped
option to a full disk, passes through ``failures`` and never reaches a person as a traceback, unless with ``--debug``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import takewhile

from modhub.cli import interrupts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command with ``arguments`` (without the program's name; ``sys.argv``'s by default), to its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if shell := os.environ.get("_MODHUB_COMPLETE"):
        from modhub.cli.completing import answer

        return answer(shell, given if shell == "bash" else ["modhub", *given])
    # The options count wherever they are written, because a line that cannot be parsed needs them too.
    flags = set(takewhile(lambda argument: argument != "--", given))
    debug = "--debug" in flags
    before = interrupts.end_at_once(as_json="--json" in flags)
    # pydantic would look through every installed distribution for plugins that no model of ours has.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        # Here, because a Ctrl-C may come while click is imported.
        from modhub.cli import printing, quiet, verbosity
        from modhub.cli.root import root

        printing.prepare_streams()
        if debug:
            quiet.let_backends_talk()
        with verbosity.heard(given), quiet.warnings_as_lines(everything=debug):
            code = root.main(given, prog_name="modhub", standalone_mode=False)
        return code if isinstance(code, int) else 0
    # click ends the process itself where the reader of our output has closed it.
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        from modhub.cli.failures import report

        return report(error, as_json="--json" in flags, debug=debug, given=given)
    finally:
        # A program has nothing left to do but to end.
        if arguments is not None:
            interrupts.handle(before)
