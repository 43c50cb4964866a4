"""`DataSetGenerator`: rows about topics, through templates; a face of the engine like the dataset classes."""
