"""The model zoo: the paper's six families, at its sizes and at the size of a digit."""
