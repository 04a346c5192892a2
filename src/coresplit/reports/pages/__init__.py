"""Write a document as pages and pictures."""
