"""MONAI Label: a server that hands its reviewers the most suspect labels first.

:mod:`.review` holds the logic and knows a datastore by its methods alone; :mod:`.submitted` reads labels, and
:mod:`.segments` numbers their segments by name; :mod:`.datastore` reads the reviewed labels of a datastore's folder;
:mod:`.app` is the server's side of it, and the one module that imports ``monailabel``; :mod:`.app_folder` makes a
folder for ``monailabel start_server --app``.
"""
