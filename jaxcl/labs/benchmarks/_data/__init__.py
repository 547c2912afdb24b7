"""Times views and whole input paths, beside other ways to make the same views."""
