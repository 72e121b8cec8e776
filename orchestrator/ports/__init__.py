"""What the rooms above need from the outside: one small Protocol a file, its contract in words.

A contract says what each method promises, its units, what it raises, and whether it may be repeated. The same tests
(tests/engine/contracts) run on the fakes and on every adapter. Every error is one of `orchestrator.errors`.
"""
