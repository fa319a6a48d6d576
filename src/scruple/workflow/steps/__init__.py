"""The code of the rules' scripts, one module per script."""
