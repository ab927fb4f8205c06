"""``python -m monai_selfcleanse.monai_label``, see :mod:`monai_selfcleanse.cli.monai_label`."""

from ..cli.monai_label import main

if __name__ == "__main__":
    main()
