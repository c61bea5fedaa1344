"""`rendercast`, and `python -m rendercast` without its script on the path."""

import sys


def main() -> None:
    """The command line. It takes a second to load, and Ctrl-C may come before that."""
    try:
        from rendercast.cli import main as program  # noqa: PLC0415 - for what the docstring says
    except KeyboardInterrupt:
        sys.exit(130)
    program()


if __name__ == "__main__":
    main()
