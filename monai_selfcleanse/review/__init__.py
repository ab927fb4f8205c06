"""The review page: look at the suspects in a browser, decide about each, and correct labels by hand.

=============== ======================================================================================
module          what it does
=============== ======================================================================================
``session``     what is known of the labels, and what reviewers decide about them; no HTTP
``volumes``     what of a case the browser gets: image, overlays, pictures, the label to draw on
``edits``       labels that reviewers have drawn: read, checked and written on the label's own grid
``guard``       who is let in: this machine, this page, this token
``app``         the addresses, and what each answers
``server``      the server, from its start to Ctrl-C
=============== ======================================================================================

``app`` and ``server`` need the extra ``review`` (Starlette, uvicorn). The page shows volumes with NiiVue, which lies in
``assets/niivue``; nothing comes from the internet.
"""

from .session import ConflictError, Review

__all__ = ["ConflictError", "Review"]
