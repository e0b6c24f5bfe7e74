"""Work behind the requests: uploads, jobs, drawings."""
