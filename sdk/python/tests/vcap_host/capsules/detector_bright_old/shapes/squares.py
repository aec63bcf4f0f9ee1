CLASS = "bright"
