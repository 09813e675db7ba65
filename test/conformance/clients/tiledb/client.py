"""A program with TileDB, which has the AWS SDK for C++ inside: it uses TileDB's C API."""

import ctypes
import glob
import json
import os
import sys
from ctypes import byref, c_char_p, c_uint64, c_void_p

tiledb = ctypes.CDLL(glob.glob("tiledb.libs/libtiledb*.so*")[0])
READ, WRITE = 0, 1
SETTINGS = {
    b"vfs.s3.endpoint_override": b"127.0.0.1:5000",
    b"vfs.s3.scheme": b"http",
    b"vfs.s3.use_virtual_addressing": b"false",
    b"vfs.s3.region": os.environb[b"AWS_REGION"],
}


class TileDB:
    def __init__(self):
        config, self.context, self.files = c_void_p(), c_void_p(), c_void_p()
        tiledb.tiledb_config_alloc(byref(config), byref(c_void_p()))
        for name, value in SETTINGS.items():
            tiledb.tiledb_config_set(config, name, value, byref(c_void_p()))
        tiledb.tiledb_ctx_alloc(config, byref(self.context))
        self.call("vfs_alloc", config, byref(self.files))

    def call(self, name, *args):
        if getattr(tiledb, "tiledb_" + name)(self.context, *args) != 0:
            error, message = c_void_p(), c_char_p()
            tiledb.tiledb_ctx_get_last_error(self.context, byref(error))
            tiledb.tiledb_error_message(error, byref(message))
            raise RuntimeError(message.value.decode())

    def open(self, key, mode):
        file = c_void_p()
        self.call("vfs_open", self.files, b"s3://bucket/" + key, mode, byref(file))
        return file

    def work(self):
        up = os.urandom(1_000_000)
        key = os.urandom(8).hex().encode()  # it keeps what it has read of a key
        file = self.open(key, WRITE)
        self.call("vfs_write", file, up, c_uint64(len(up)))
        self.call("vfs_close", file)
        down = ctypes.create_string_buffer(len(up))
        self.call("vfs_read", self.open(key, READ), c_uint64(0), down, c_uint64(len(up)))
        if down.raw != up:
            raise RuntimeError("the object differs")


program = None
for line in sys.stdin:
    answer = {}
    try:
        if line.strip() == "work":
            program = program or TileDB()
            program.work()
    except Exception as e:
        answer = {"error": str(e)}
    print(json.dumps(answer), flush=True)
