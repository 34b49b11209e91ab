"""The audit: finding what is wrong with a data set, and cleaning it."""
