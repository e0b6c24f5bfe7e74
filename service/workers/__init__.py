"""Work behind the requests: uploads, jobs, waveforms."""
