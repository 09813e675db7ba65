// A program with the AWS SDK for JavaScript, version 3.
'use strict';

const { STSClient, GetCallerIdentityCommand } = require('@aws-sdk/client-sts');
const answer = require('./questions');

const sts = new STSClient({});

async function reply(word, n) {
  switch (word) {
    case 'hello':
      return {};
    case 'identity':
      return { arn: (await sts.send(new GetCallerIdentityCommand({}))).Arn };
    case 'key':
      return { key: (await sts.config.credentials()).accessKeyId };
    case 'sign':
      for (let i = 0; i < Number(n); i++) {
        await sign();
      }
      return {};
  }
  throw new Error(`unknown question ${word}`);
}

// sign makes a complete call, except that it sends no request. setImmediate lets
// background work run, as sending the request would.
function sign() {
  const command = new GetCallerIdentityCommand({});
  const unsent = () => async () => {
    await new Promise(setImmediate);
    return { output: { $metadata: {} }, response: {} };
  };
  command.middlewareStack.add(unsent, { step: 'deserialize', priority: 'high' });
  return sts.send(command);
}

answer(reply);
