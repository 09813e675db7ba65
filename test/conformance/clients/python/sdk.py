"""A program with boto3 if that is installed, otherwise with botocore."""

import json
import sys

try:
    import boto3

    session = boto3.Session()
    new_client = session.client
except ImportError:
    import botocore.session

    session = botocore.session.get_session()
    new_client = session.create_client


def reply(question):
    if question == "hello":
        return {}
    if question == "identity":
        return {"arn": new_client("sts").get_caller_identity()["Arn"]}
    if question == "key":
        credentials = session.get_credentials()
        if credentials is None:
            raise RuntimeError("no credentials")
        return {"key": credentials.get_frozen_credentials().access_key}
    sts = new_client("sts")
    for _ in range(int(question.split()[1])):
        sts.generate_presigned_url("get_caller_identity", Params={})
    return {}


for line in sys.stdin:
    try:
        answer = reply(line.strip())
    except Exception as e:
        answer = {"error": "%s: %s" % (type(e).__name__, e)}
    print(json.dumps(answer), flush=True)
