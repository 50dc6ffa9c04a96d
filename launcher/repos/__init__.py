"""Where a link points, which commit that is, and its files on disk."""
