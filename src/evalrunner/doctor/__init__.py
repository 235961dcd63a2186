"""What an experiment holds and what it lacks, whoever made it: read, told, and never changed."""
