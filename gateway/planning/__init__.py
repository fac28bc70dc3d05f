"""From an event, its resolution and the configuration to the request to send. Pure: no I/O, clock or randomness."""
