"""Serves Keystone at HOST:PORT, and says which port that is. Its configuration is named by OS_KEYSTONE_CONFIG_DIR."""

import os
import sys
import threading

from waitress import create_server

# Keystone takes the arguments of the process for its own.
listen = sys.argv.pop()

from keystone.wsgi.api import application


def leave_with_the_caller():
    """A process that is killed cannot end this one, but it closes our standard input."""
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=leave_with_the_caller, daemon=True).start()
# Room for no more than two tokens of 8,190 bytes, which is where gunicorn refuses: waitress would take 256 KiB.
server = create_server(application, listen=listen, threads=4, max_request_header_size=16_380)
print(f"listening on {server.effective_host}:{server.effective_port}", flush=True)
server.run()
