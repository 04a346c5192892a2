"""What a load would meet with other instances: asked, replayed, told."""
