"""A program with Google's library for Python, outside Google Cloud on AWS: it gets AWS
credentials itself, signs a request with them, and sends that to Google, which sends it to
STS. Here the request is only made."""

import json
import sys
import urllib.parse

from google.auth import aws
from google.auth.transport import requests

METADATA = "http://169.254.169.254/latest/"
INFO = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/aws",
    "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {
        "environment_id": "aws1",
        "region_url": METADATA + "meta-data/placement/availability-zone",
        "url": METADATA + "meta-data/iam/security-credentials",
        "imdsv2_session_token_url": METADATA + "api/token",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    },
}


def reply(question):
    if question == "hello":
        return {}
    credentials = aws.Credentials.from_info(INFO)
    request = json.loads(urllib.parse.unquote(credentials.retrieve_subject_token(requests.Request())))
    headers = {h["key"].lower(): h["value"] for h in request["headers"]}
    scope = headers["authorization"].partition("Credential=")[2].split("/")
    return {"key": scope[0], "token": headers["x-amz-security-token"], "region": scope[2]}


for line in sys.stdin:
    try:
        answer = reply(line.strip())
    except Exception as e:
        answer = {"error": "%s: %s" % (type(e).__name__, e)}
    print(json.dumps(answer), flush=True)
