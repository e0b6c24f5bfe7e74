"""Sounds → pictures: waveforms and spectrograms."""
