"""From items to the table of responses: trials, the store of finished results, shards."""
