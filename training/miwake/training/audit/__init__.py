"""Looking for what is wrong with a data set: labels, repeats, outliers, leaks between the splits, empty vectors."""
