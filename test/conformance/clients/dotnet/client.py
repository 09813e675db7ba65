"""A stand-in for the AWS SDK for .NET, whose assemblies are not in the registries that this
suite installs from. It reads documents as strictly as AWSSDK.Core 3.3.103.32, 3.5.1.59 and
3.7.12.10 do: their JSON reader fails on any field that the class which it fills lacks ("the
type SecurityCredentials doesn't have the property 'AccountId'"). They were run by hand, under
mono, in November 2026. 3.7.303.11 no longer does that.

The requests are not those of the SDK."""

import datetime
import json
import os
import subprocess
import sys
import urllib.request

METADATA = "http://169.254.169.254/latest/"
STATUS = {"Code", "Message", "LastUpdated"}
KEYS = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
# The classes URIBasedRefreshingCredentialHelper.SecurityCredentials, and in
# EC2InstanceMetadata.cs IAMSecurityCredentialMetadata and IAMInstanceProfileMetadata. Of the
# first, the releases above were seen to take the fields that an ECS agent sends, and no others
# were tried but AccountId, so nothing else is accepted.
CONTAINER = KEYS | {"RoleArn"}
ROLE = KEYS | STATUS | {"Type"}
PROFILE = STATUS | {"InstanceProfileArn", "InstanceProfileId"}
DATES = {"Expiration", "LastUpdated"}


def get(url, method="GET", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=method)) as response:
        return response.read().decode()


def fill(fields, text):
    def known(pairs):
        for name, value in pairs:
            if name not in fields:
                raise ValueError("the type doesn't have the property '%s'" % name)
            if name in DATES:
                datetime.datetime.fromisoformat(value)
        return dict(pairs)
    return json.loads(text, object_pairs_hook=known)


def credentials():
    relative = os.environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    full = "http://169.254.170.2" + relative if relative else os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if full:
        return fill(CONTAINER, get(full))
    session = {"X_aws_ec2_metadata_token": get(METADATA + "api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="21600")}
    fill(PROFILE, get(METADATA + "meta-data/iam/info", **session))
    json.loads(get(METADATA + "dynamic/instance-identity/document", **session))["region"]
    role = METADATA + "meta-data/iam/security-credentials/"
    for name in get(role, **session).splitlines():
        document = fill(ROLE, get(role + name.strip(), **session))
        if document["Code"] == "Success":
            return document
    raise ValueError("no role")


def identity(c):
    command = '. "$0"; identity "$@"'
    script = os.environ["DRIVER"] + "/../curl/identity"
    return subprocess.run(["bash", "-c", command, script, c["AccessKeyId"], c["SecretAccessKey"], c["Token"]],
                          check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def reply(question):
    if question == "hello":
        return {}
    c = credentials()
    return {"key": c["AccessKeyId"]} if question == "key" else {"arn": identity(c)}


for line in sys.stdin:
    try:
        answer = reply(line.strip())
    except Exception as e:
        answer = {"error": "%s: %s" % (type(e).__name__, e)}
    print(json.dumps(answer), flush=True)
