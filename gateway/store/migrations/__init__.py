"""The migrations of the store, run by gateway/store/schema.py; a new one is made from script.py.mako by hand."""
