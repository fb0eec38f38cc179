"""Speed beside the floor, measured in the same run: `make bench`. Nothing here is a test."""
