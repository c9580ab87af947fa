"""How fast the engine is: against what a user would pick instead, and against what the processor can do."""
