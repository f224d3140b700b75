"""Certificates for a server and a client of this machine's loopback, made by OpenSSL."""

import subprocess
from pathlib import Path

_DAYS = ["-days", "2"]


def make_certificates(folder: Path) -> Path:
    """Write an authority, `server-cert.pem` and `cert.pem` with their keys; returns the folder."""
    folder.mkdir()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch"]
    authority = ["-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=tests"]
    _openssl(folder, "req", "-x509", *_DAYS, *key, *authority)
    for name, use in (("server-", "serverAuth"), ("", "clientAuth")):
        request = ["-keyout", f"{name}key.pem", "-out", "request.pem", "-subj", "/CN=localhost"]
        _openssl(folder, "req", *key, *request)
        (folder / "extensions").write_text(
            f"subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={use}\n"
        )
        sign = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", *_DAYS]
        certificate = ["-in", "request.pem", "-out", f"{name}cert.pem", "-extfile", "extensions"]
        _openssl(folder, "x509", "-req", *sign, *certificate)
    return folder


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
