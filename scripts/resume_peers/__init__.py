"""The programs of `scripts/compare_resume.py`, and the faults that they meet."""
