"""Fills any JSON Schema with valid values and readable text by a seed: what the offline provider answers with."""
