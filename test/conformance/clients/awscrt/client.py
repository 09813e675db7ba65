"""A program with the AWS Common Runtime. The runtime has a chain of credentials
providers but no service clients, so this program signs and sends its own requests."""
import json
import os
import re
import sys
import urllib.request
from io import BytesIO

from awscrt.auth import (AwsCredentialsProvider, AwsSignatureType, AwsSigningAlgorithm, AwsSigningConfig,
                         aws_sign_request)
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup

REGION = os.environ["AWS_REGION"]
HOST = f"sts.{REGION}.amazonaws.com"
FORM = b"Action=GetCallerIdentity&Version=2011-06-15"

group = EventLoopGroup(1)
bootstrap = ClientBootstrap(group, DefaultHostResolver(group))
provider = AwsCredentialsProvider.new_default_chain(bootstrap)


def signed():
    headers = HttpHeaders([("Host", HOST), ("Content-Type", "application/x-www-form-urlencoded")])
    request = HttpRequest("POST", "/", headers, BytesIO(FORM))
    config = AwsSigningConfig(AwsSigningAlgorithm.V4, AwsSignatureType.HTTP_REQUEST_HEADERS,
                              credentials_provider=provider, region=REGION, service="sts")
    return aws_sign_request(request, config).result()


def identity():
    request = urllib.request.Request(f"https://{HOST}/", FORM, dict(signed().headers), method="POST")
    with urllib.request.urlopen(request) as response:
        return {"arn": re.search("<Arn>(.*)</Arn>", response.read().decode()).group(1)}


def reply(question):
    if question == "hello":
        return {}
    if question == "identity":
        return identity()
    if question == "key":
        return {"key": provider.get_credentials().result().access_key_id}
    for _ in range(int(question.removeprefix("sign "))):
        signed()
    return {}


for line in sys.stdin:
    try:
        answer = reply(line.strip())
    except Exception as e:
        answer = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(answer), flush=True)
