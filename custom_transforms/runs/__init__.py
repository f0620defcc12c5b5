"""Run bundles over many studies: isolation of what parses, the ledger, shards."""
