"""One file and one registration per provider."""
