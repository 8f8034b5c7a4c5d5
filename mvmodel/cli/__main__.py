"""`python -m mvmodel.cli` is the same as `mvmodel`."""

from mvmodel.cli.root import main

if __name__ == "__main__":
    main()
