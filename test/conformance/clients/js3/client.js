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

// sign has the whole of a call be made but for the request itself, which would
// give what goes on in the background a turn too.
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
