"""The public door: webhooks and native events in, records of the log out."""
