"""Real serving frameworks, each from PyPI in an image of its own, deployed as a new user would.

`scripts/chaos tests/frameworks` runs all of them, `scripts/test` the smallest one. docs/frameworks.md shows the
`deploy.toml` of each folder.
"""
