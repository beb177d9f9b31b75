"""Data in blocks, of arrays and of Dask, and the threads that fold over them."""
