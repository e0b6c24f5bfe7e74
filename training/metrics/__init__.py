"""Ranking metrics, and the queries that they are measured on."""
