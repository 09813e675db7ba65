"""Pushes an image of 12 MB into the registry and pulls it, as docker does."""

import hashlib
import json
import os
import time
import urllib.error
import urllib.request

REGISTRY = "http://127.0.0.1:5555/v2/"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def call(method, url, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, headers, method=method)
    return urllib.request.urlopen(request, timeout=60)


def wait():
    for _ in range(100):
        try:
            return call("GET", REGISTRY)
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the registry is not listening")


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def push(content):
    """Pushes a blob, and returns its size and digest for a manifest."""
    upload = call("POST", REGISTRY + "app/blobs/uploads/", b"").headers["Location"]
    stream = "application/octet-stream"
    upload = call("PATCH", upload, content, Content_Type=stream).headers["Location"]
    call("PUT", upload + "&digest=" + digest(content), b"", Content_Type=stream)
    return {"size": len(content), "digest": digest(content)}


def pull(kind, name, **headers):
    return call("GET", REGISTRY + "app/%s/%s" % (kind, name), **headers).read()


# The registry does not create its bucket.
try:
    call("PUT", "http://127.0.0.1:5001/bucket", b"")
except urllib.error.HTTPError as e:
    assert e.code == 409, "not a bucket that exists already"
wait()
config = push(json.dumps({"architecture": "amd64", "os": "linux"}).encode())
layer = push(os.urandom(12_000_000))
config["mediaType"] = "application/vnd.docker.container.image.v1+json"
layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}).encode()
call("PUT", REGISTRY + "app/manifests/latest", manifest, Content_Type=MANIFEST)

pulled = pull("manifests", "latest", Accept=MANIFEST)
assert pulled == manifest, "the manifest differs"
assert pull("manifests", digest(manifest), Accept=MANIFEST) == manifest, "the manifest by digest differs"
for blob in [config, layer]:
    assert digest(pull("blobs", blob["digest"])) == blob["digest"], "the blob differs"
