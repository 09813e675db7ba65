// A program with Google's library for Node.js, outside Google Cloud on AWS: see
// ../google-py/client.py.
'use strict';

const { AwsClient } = require('google-auth-library');
const answer = require('./questions');

const metadata = 'http://169.254.169.254/latest/';
const info = {
  type: 'external_account',
  audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/aws',
  subject_token_type: 'urn:ietf:params:aws:token-type:aws4_request',
  token_url: 'https://sts.googleapis.com/v1/token',
  credential_source: {
    environment_id: 'aws1',
    region_url: metadata + 'meta-data/placement/availability-zone',
    url: metadata + 'meta-data/iam/security-credentials',
    imdsv2_session_token_url: metadata + 'api/token',
    regional_cred_verification_url: 'https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15',
  },
};

async function reply(word) {
  if (word === 'hello') {
    return {};
  }
  const request = JSON.parse(decodeURIComponent(await new AwsClient(info).retrieveSubjectToken()));
  const headers = {};
  for (const { key, value } of request.headers) {
    headers[key.toLowerCase()] = value;
  }
  const [key, , region] = headers.authorization.split('Credential=')[1].split('/');
  return { key, token: headers['x-amz-security-token'], region };
}

answer(reply);
