"""The batch endpoints that the scripted server speaks: one file for each service, on one common store."""
