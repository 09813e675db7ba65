// A program with the AWS Common Runtime for Node.js.
'use strict';

const crypto = require('crypto');
const https = require('https');
const { auth, http, io } = require('aws-crt');
const answer = require('./questions');

const region = process.env.AWS_REGION;
const host = `sts.${region}.amazonaws.com`;
const body = 'Action=GetCallerIdentity&Version=2011-06-15';
const hash = crypto.createHash('sha256').update(body).digest('hex');
const provider = auth.AwsCredentialsProvider.newDefault(new io.ClientBootstrap());

async function reply(word, n) {
  switch (word) {
    case 'hello':
      return {};
    case 'identity':
      return { arn: /<Arn>(.*)<\/Arn>/.exec(await send(await sign()))[1] };
    case 'key':
      // There is no other way to see its credentials.
      return { key: /Credential=([^/]+)/.exec((await sign()).Authorization)[1] };
    case 'sign':
      for (let i = 0; i < Number(n); i++) {
        await sign();
      }
      return {};
  }
  throw new Error(`unknown question ${word}`);
}

async function sign() {
  const type = 'application/x-www-form-urlencoded';
  const request = await auth.aws_sign_request(
    new http.HttpRequest('POST', '/', new http.HttpHeaders([['Host', host], ['Content-Type', type]])),
    { algorithm: auth.AwsSigningAlgorithm.SigV4, provider, region, service: 'sts', signed_body_value: hash });
  const headers = {};
  for (const [name, value] of request.headers) {
    headers[name] = value;
  }
  return headers;
}

function send(headers) {
  return new Promise((resolve, reject) => {
    https.request({ host, method: 'POST', headers }, response => {
      let text = '';
      response.on('data', chunk => { text += chunk; });
      response.on('end', () => response.statusCode === 200 ? resolve(text) : reject(new Error(text)));
    }).on('error', reject).end(body);
  });
}

answer(reply);
