"""Train medical segmentation networks on doubtful labels with MONAI, and cleanse the labels on the way.

The names to use in Python and, as ``_target_``, in config files live in the subpackages: :mod:`.handlers` (the label
filter and the label cleanser), :mod:`.noise` (synthetic label noise), :mod:`.transforms`, :mod:`.losses`,
:mod:`.engines`, :mod:`.data` and :mod:`.audit`. The mathematics stands apart in :mod:`.scoring`, :mod:`.mixture` and
:mod:`.cleansing`.
"""

__version__ = "0.1.0"
