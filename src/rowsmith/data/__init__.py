"""Rows on disk and the readers of sources."""
