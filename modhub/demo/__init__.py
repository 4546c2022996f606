"""The demonstration: two small origins that every machine can make, and the story that composes them.

Needs the extra ``modhub[demo]``; nothing else in modhub depends on this package.
"""
