"""``python -m monai_selfcleanse.noise``, see :mod:`monai_selfcleanse.cli.noise`."""

from ..cli.noise import main

if __name__ == "__main__":
    main()
