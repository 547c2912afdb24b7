"""Time, memory and accuracy of losses, beside dense code and other libraries."""
