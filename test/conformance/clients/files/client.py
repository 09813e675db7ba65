"""A program that keeps data in S3 with a library that is no AWS SDK, but may have one inside."""

import json
import os
import sys

ENDPOINT, REGION = "http://127.0.0.1:5000", os.environ["AWS_REGION"]
up = list(range(100_000))


def pyarrow():
    from pyarrow import fs
    s3 = fs.S3FileSystem(endpoint_override="127.0.0.1:5000", scheme="http", region=REGION)

    def copy():
        with s3.open_output_stream("bucket/key") as f:
            f.write(json.dumps(up).encode())
        with s3.open_input_stream("bucket/key") as f:
            return json.loads(f.read())
    return copy


def polars():
    import polars

    def copy():
        polars.DataFrame({"n": up}).write_parquet("s3://bucket/key")
        return polars.read_parquet("s3://bucket/key")["n"].to_list()
    return copy


def deltalake():
    from arro3.core import Array, DataType, Table
    from deltalake import DeltaTable, QueryBuilder, write_deltalake
    table = Table.from_pydict({"n": Array(up, type=DataType.int64())})

    def copy():
        write_deltalake("s3://bucket/table", table, mode="overwrite")
        files = DeltaTable("s3://bucket/table")
        return sorted(QueryBuilder().register("t", files).execute("SELECT n FROM t").read_all()["n"].to_pylist())
    return copy


def datafusion():
    from datafusion import SessionContext
    from datafusion.object_store import AmazonS3
    context = SessionContext()
    context.register_object_store("s3://", AmazonS3("bucket", region=REGION, endpoint=ENDPOINT, allow_http=True), "bucket")

    def copy():
        context.from_pydict({"n": up}).write_parquet("s3://bucket/key.parquet")
        return sorted(context.read_parquet("s3://bucket/key.parquet").to_pydict()["n"])
    return copy


def duckdb():
    import duckdb
    db = duckdb.connect(config={"extension_directory": os.environ["HOME"], "allow_unsigned_extensions": True})
    for name in "httpfs", "aws":
        db.execute(f"LOAD '{os.getcwd()}/duckdb_extension_{name}/extensions/v{duckdb.__version__}/{name}.duckdb_extension'")
    db.execute(f"CREATE SECRET (TYPE s3, PROVIDER credential_chain, REGION '{REGION}', ENDPOINT '127.0.0.1:5000', USE_SSL false, URL_STYLE path, REFRESH auto)")

    def copy():
        db.execute("COPY (SELECT range AS n FROM range(100000)) TO 's3://bucket/key.parquet'")
        return [n for n, in db.execute("SELECT n FROM 's3://bucket/key.parquet' ORDER BY n").fetchall()]
    return copy


def s3torchconnectorclient():
    from s3torchconnectorclient._mountpoint_s3_client import MountpointS3Client
    s3 = MountpointS3Client(REGION, endpoint=ENDPOINT, force_path_style=True, max_attempts=2)

    def copy():
        stream = s3.put_object("bucket", "key")
        stream.write(json.dumps(up).encode())
        stream.close()
        return json.loads(b"".join(s3.get_object("bucket", "key")))
    return copy


def main():
    copy = None
    for line in sys.stdin:
        answer = {}
        try:
            if line.strip() == "work":
                copy = copy or globals()[open("package").read().strip()]()
                if copy() != up:
                    raise RuntimeError("the data differ")
        except BaseException as e:
            answer = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)


main()
