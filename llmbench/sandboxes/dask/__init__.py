"""A Dask cluster whose workers run the tests."""
