"""The campaign event gateway up to the log, what operators touch, and the contracts shared with the consumers."""
