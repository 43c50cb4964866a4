"""Gates: checks that accept, mend or reject a row, with a reason."""
