"""Which patient is in which fold: builders, split, phantoms and public lists. Neither torch nor MONAI is needed."""
