"""What the bundles take beside plain code and beside the machine's own limits; `make bench` runs it."""
