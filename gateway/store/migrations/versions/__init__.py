"""One module a migration, in order: 0001, 0002, …"""
