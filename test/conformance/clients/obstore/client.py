"""A program with object_store, the crate that polars and DataFusion use too."""

import json
import os
import sys

import obstore
from obstore.store import S3Store

store = None


def work():
    global store
    if store is None:
        store = S3Store("bucket", endpoint="http://127.0.0.1:5000", client_options={"allow_http": True})
    up = os.urandom(1_000_000)
    obstore.put(store, "key", up)
    if obstore.get(store, "key").bytes().to_bytes() != up:
        raise RuntimeError("the object differs")


for line in sys.stdin:
    answer = {}
    try:
        if line.strip() == "work":
            work()
    except Exception as e:
        answer = {"error": str(e)}
    print(json.dumps(answer), flush=True)
