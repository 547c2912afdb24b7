"""What views and whole input paths cost beside other ways to the same views."""
