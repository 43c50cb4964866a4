"""The public dataset classes: thin faces on recipes and engine."""
