"""One file per kind of dataset."""
