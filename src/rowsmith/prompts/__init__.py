"""Prompt templates and their expansion into variations."""
