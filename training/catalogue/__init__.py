"""What is at hand here: plugins and their environments, trainers, base models, and what a project has switched on."""
