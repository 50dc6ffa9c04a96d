"""What is held by the stores and by the registry, and how some of it is let go. Which, others decide."""
