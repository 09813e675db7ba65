// A program with the AWS SDK for JavaScript, version 2. It uses only the syntax of
// Node 8.
'use strict';

const AWS = require('aws-sdk');
const answer = require('./questions');

// Each client has its own configuration, and so its own credentials.
const sts = new AWS.STS();

async function reply(word, n) {
  switch (word) {
    case 'hello':
      return {};
    case 'identity':
      return { arn: (await sts.getCallerIdentity().promise()).Arn };
    case 'key':
      await get();
      return { key: sts.config.credentials.accessKeyId };
    case 'sign':
      for (let i = 0; i < Number(n); i++) {
        await sign();
      }
      return {};
  }
  throw new Error(`unknown question ${word}`);
}

function get() {
  return new Promise((resolve, reject) => sts.config.getCredentials(err => err ? reject(err) : resolve()));
}

// sign pauses briefly, as a real call does. Old releases leave requests to the endpoint
// open, and it does not accept a thousand at a time.
function sign() {
  return new Promise((resolve, reject) =>
    sts.getCallerIdentity().presign(60, err => err ? reject(err) : setTimeout(resolve, 1)));
}

answer(reply);
