"""What user data carries to a new node, as source text. Standard library only, Python 3.9."""
