"""The version of this package, which every room may import."""

__all__ = ["__version__"]

__version__ = "0.1.0"
