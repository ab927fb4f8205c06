"""MONAI Label: a server that hands its reviewers the most suspect labels first (docs/monai_label.md).

:mod:`.review` holds the logic and knows a datastore by its methods alone; :mod:`.app` is the server's side of it, and
the one module that imports ``monailabel``; ``python -m monai_selfcleanse.label`` makes a folder for ``monailabel
start_server --app``.
"""
