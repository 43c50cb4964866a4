"""The plan as a number line, the run that walks it, and the ledger of what has happened."""
