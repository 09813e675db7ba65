// A program with n8n's code that gets AWS credentials. It uses Node's own fetch, as does
// much that was written for Node 18 and later.
'use strict';

const https = require('https');
const aws4 = require('aws4');
const { getSystemCredentials } = require('./system-credentials-utils');
const answer = require('./questions');

const region = process.env.AWS_REGION;

async function reply(word) {
  if (word === 'hello') {
    return {};
  }
  const credentials = await getSystemCredentials();
  if (!credentials) {
    throw new Error('no credentials');
  }
  if (word === 'key') {
    return { key: credentials.accessKeyId };
  }
  return { arn: /<Arn>(.*)<\/Arn>/.exec(await identity(credentials))[1] };
}

function identity(credentials) {
  const request = aws4.sign({
    service: 'sts', region, host: `sts.${region}.amazonaws.com`, method: 'POST', path: '/',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: 'Action=GetCallerIdentity&Version=2011-06-15',
  }, credentials);
  return new Promise((resolve, reject) => {
    https.request(request, response => {
      let text = '';
      response.on('data', chunk => { text += chunk; });
      response.on('end', () => response.statusCode === 200 ? resolve(text) : reject(new Error(text)));
    }).on('error', reject).end(request.body);
  });
}

answer(reply);
