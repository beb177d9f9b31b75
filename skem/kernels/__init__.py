"""The compiled pass over a block of samples."""
