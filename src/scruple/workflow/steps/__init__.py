"""What each rule's script does, one module per script."""
