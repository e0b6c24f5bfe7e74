"""Tests of what ships for containers: images, compose file, what is watched."""
