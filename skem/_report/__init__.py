"""What is said about mixtures, in numbers and in text."""
