"""Tools that conversations call: what they are, whether a call fits, and what comes of carrying it out."""
