"""Commands that are more than a few lines, a module each; `cli` registers them."""
