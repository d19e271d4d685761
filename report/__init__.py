"""What a change of the program or of a stack file means: for its readers, its costs, and its duration."""
