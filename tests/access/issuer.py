"""A small OpenID Connect issuer on loopback that lets everybody in as whoever it was told."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit


class Issuer:
    """`claims` is what it says of whoever comes. `broken` lets the token endpoint answer with an error."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.broken = False
        self.secrets: list[str] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                """Not on the terminal."""

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/.well-known/openid-configuration":
                    self._json(
                        {
                            "issuer": issuer.url,
                            "authorization_endpoint": f"{issuer.url}/authorize",
                            "token_endpoint": f"{issuer.url}/token",
                            "userinfo_endpoint": f"{issuer.url}/userinfo",
                            "jwks_uri": f"{issuer.url}/keys",
                            "token_endpoint_auth_methods_supported": ["client_secret_post"],
                        }
                    )
                elif parts.path == "/authorize":
                    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
                    assert asked["code_challenge_method"] == "S256"
                    back = urlencode({"code": "a-code", "state": asked["state"]})
                    self.send_response(302)
                    self.send_header("Location", f"{asked['redirect_uri']}?{back}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif parts.path == "/userinfo":
                    self._json(issuer.claims)
                else:
                    self.send_error(404)

            def do_POST(self) -> None:
                sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                issuer.secrets += sent.get("client_secret", [])
                if issuer.broken:
                    self.send_error(500)
                    return
                self._json({"access_token": "a-token", "token_type": "Bearer", "expires_in": 60})

            def _json(self, value: dict[str, Any]) -> None:
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="issuer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
