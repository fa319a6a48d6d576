"""One self-contained page that tells what a study found, and shows it."""
