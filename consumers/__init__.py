"""Everything after the log: who an event belongs to, whom it concerns, and the calls to the CRM."""
