"""Run the command line: ``python -m twingym`` does what ``twingym`` does."""

from twingym.experiments.cli import main

if __name__ == "__main__":
    main()
