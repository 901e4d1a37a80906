"""Sources of wanted steps that depend on what came of earlier ones."""
