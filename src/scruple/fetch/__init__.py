"""Downloads: benchmark files, and transfers that are resumed and verified."""
