"""What MONAI does not have: one idea a file. Configs name the full path, so nothing is imported here."""
