"""`python -m evalrunner` is `evalrunner`."""

from evalrunner.cli.main import main

if __name__ == "__main__":
    main()
