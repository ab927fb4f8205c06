"""The report as one page, ``report.html``."""

from .page import write_page

__all__ = ["write_page"]
