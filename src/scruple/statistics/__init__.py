"""Statistics of clustered items."""
