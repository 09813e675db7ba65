"""A program with boto 2, the AWS SDK for Python before boto3."""

import json
import re
import sys

import boto.sts

connection = None


def sts():
    """Connects at the first question, and again until there are credentials."""
    global connection
    if connection is None:
        connection = boto.connect_sts()
    return connection


def reply(question):
    if question == "hello":
        return {}
    if question == "key":
        return {"key": sts().provider.access_key}
    if question == "identity":
        # boto is older than this call and has no method for it.
        body = sts().make_request("GetCallerIdentity", {}, verb="POST").read().decode()
        return {"arn": re.search("<Arn>(.*)</Arn>", body).group(1)}
    raise ValueError("unknown question " + question)


for line in sys.stdin:
    try:
        answer = reply(line.strip())
    except Exception as e:
        answer = {"error": "%s: %s" % (type(e).__name__, e)}
    print(json.dumps(answer), flush=True)
