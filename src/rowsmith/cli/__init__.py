"""The command line: `rowsmith`."""


def main() -> None:
    """Read the arguments and carry the command out; ends in `SystemExit` with the exit code."""
    from rowsmith.cli.app import application  # loaded when called: importing this package costs nothing

    application()()
