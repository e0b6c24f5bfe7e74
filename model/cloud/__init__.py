"""Files in the cloud: sounds that lie in a store such as Amazon S3, read by their addresses."""
