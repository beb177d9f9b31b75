"""The E-step of rows with missing values."""
