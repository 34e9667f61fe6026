"""Serves Keystone at HOST:PORT, and says which port that is. Its configuration is named by OS_KEYSTONE_CONFIG_DIR."""

import sys

from waitress import create_server

# Keystone takes the arguments of the process for its own.
listen = sys.argv.pop()

from keystone.wsgi.api import application

# Room for no more than two tokens of 8,190 bytes, which is where gunicorn refuses: waitress would take 256 KiB.
server = create_server(application, listen=listen, threads=4, max_request_header_size=16_380)
print(f"listening on {server.effective_host}:{server.effective_port}", flush=True)
server.run()
