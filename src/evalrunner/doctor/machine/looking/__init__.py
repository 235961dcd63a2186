"""What is read of the machine, without any judgment."""
