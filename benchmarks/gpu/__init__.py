"""What peftbench does on a GPU, part by part: see `__main__.py`."""
