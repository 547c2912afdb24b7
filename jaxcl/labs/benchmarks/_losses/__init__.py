"""What losses cost beside dense code and other libraries, and how right they are."""
