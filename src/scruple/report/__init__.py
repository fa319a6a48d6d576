"""The report: one self-contained HTML page with the results of a study."""
