"""`python -m sanerf`: the same as the console script `sanerf`."""

from sanerf.cli.main import main

if __name__ == "__main__":
    main()
