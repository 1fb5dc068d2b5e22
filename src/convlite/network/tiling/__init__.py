"""Images that are larger than memory: a network in tiles that have the bits of the whole run."""
