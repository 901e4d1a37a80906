"""The meter: what a method costs, measured alone on fixed inputs."""
