"""What a study is: the config, its families and margins, as typed objects."""
