"""What built-in trainers share: small pure functions, named for what they are. Torch is imported in functions only."""
