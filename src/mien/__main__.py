"""`python -m mien`, and `mien` itself: the door to the command line."""

import sys


def main() -> None:
    """Run the command line; an interruption while its modules load ends it like any other, with exit code 130."""
    try:
        from mien.cli.main import main as run  # here, since loading takes a third of a second

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
