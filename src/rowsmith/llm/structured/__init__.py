"""Structured output: one ladder that all providers share.

`output` says what to ask a service for and reads its answers: first all at once, then (`recover`) entry by entry, from
places that `scan` finds and `mend` repairs. `rungs` remembers how each model wants to be asked, `feedback` says what
was wrong. No part of it makes a call.
"""
