"""What is missing, what it will take, and whether it fits: nothing is loaded here."""
