"""A backend that believes everything: it counts the rows of a CSV file.

It never looks whether a filter exists, whether a value makes sense, or which method was meant. It is written as such
backends are, and each thing it does wrong has been seen in one.

    python3 legacy.py ROWS.csv [PORT]
"""

import csv
import json
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

ROWS = list(csv.DictReader(open(sys.argv[1], encoding="utf-8")))


class Legacy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def count(self):
        url = urlsplit(self.path)
        project = url.path.split("/")[2]
        filters = dict(parse_qsl(url.query))
        mine = "to_project_id" if filters.get("share_to_me") == "true" else "from_project_id"
        rows = [row for row in ROWS if row[mine] == project]
        for name in ("backup_id", "volume_id"):
            if name in filters:
                wanted = uuid.UUID(filters[name])
                rows = [row for row in rows if uuid.UUID(row[name]) == wanted]
        if "name" in filters:
            rows = [row for row in rows if filters["name"].lower() in row["name"].lower()]
        for name in ("status", "from_project_id", "to_project_id"):
            if name in filters:
                rows = [row for row in rows if row[name] == filters[name]]
        if "avalilability_zone" in filters:
            rows = [row for row in rows if row["availability_zone"] == filters["avalilability_zone"]]
        body = json.dumps({"count": len(rows)}, separators=(",", ":")).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-answered-by", "legacy")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = count

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 8080), Legacy)
print("listening on %s:%d" % server.server_address, flush=True)
server.serve_forever()
