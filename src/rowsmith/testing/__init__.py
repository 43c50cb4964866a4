"""A scripted model server, for the tests of Rowsmith and of those who use it."""
