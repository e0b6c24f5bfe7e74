"""Who may call what: client addresses, API keys, authorization."""
