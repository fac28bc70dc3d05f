"""How a sender proves that a body is its own: one scheme a module."""
