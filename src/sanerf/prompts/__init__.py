"""What a user says of the objects: the prompts file, and prompts between pictures and space."""
