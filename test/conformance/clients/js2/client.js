// A program with the AWS SDK for JavaScript, version 2. Its syntax is that of
// Node 8.
'use strict';

const AWS = require('aws-sdk');
const answer = require('./questions');

// A client has a configuration, and so credentials, of its own.
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

// sign takes a moment, as a call does: old releases leave requests to the
// endpoint behind, and a thousand at a time are more than it bears.
function sign() {
  return new Promise((resolve, reject) =>
    sts.getCallerIdentity().presign(60, err => err ? reject(err) : setTimeout(resolve, 1)));
}

answer(reply);
