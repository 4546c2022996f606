"""Licences as SPDX expressions: read, held to an allow-list, compared with each other. Pure; no legal advice."""
