"""Runs that ask through batch endpoints: calls are handed in, submitted in waves, and joined when they come back."""
