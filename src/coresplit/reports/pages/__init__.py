"""The pages and pictures that a document is written to."""
