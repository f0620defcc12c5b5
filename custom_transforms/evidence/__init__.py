"""What a number on patients is worth."""
