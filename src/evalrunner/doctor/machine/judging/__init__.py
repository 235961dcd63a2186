"""What it means: pure, facts in and checks out."""
