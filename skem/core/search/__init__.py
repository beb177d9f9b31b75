"""Where EM starts, and how it leaves poor optima."""
