"""The sections of a page, one module or folder each."""
