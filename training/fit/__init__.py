"""What a round learns: an adapter on frozen vectors, or all weights."""
