"""One module per label format, each with `recognises(path)`, `read(path)` and `write(labels, path)`."""
