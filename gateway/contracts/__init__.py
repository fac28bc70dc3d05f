"""The shared words of both packages: pure models, ports and errors. Nothing here does I/O or reads a clock."""
