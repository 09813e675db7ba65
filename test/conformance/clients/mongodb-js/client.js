// A program with MongoDB's driver for Node.js, which has no AWS SDK: it asks for
// credentials itself.
'use strict';

const { MongoClient } = require('mongodb');
const answer = require('./questions');

const url = 'mongodb://127.0.0.1:27017/?authMechanism=MONGODB-AWS&authSource=$external';
const options = { serverSelectionTimeoutMS: 20000 };
if (require('mongodb/package.json').version.startsWith('3.')) {
  options.useUnifiedTopology = true;
}

async function reply(word) {
  if (word === 'hello') {
    return {};
  }
  const client = new MongoClient(url, options);
  try {
    await client.connect();
    const { user, key } = await client.db('admin').command({ connectionStatus: 1 });
    if (word === 'key') {
      return { key };
    }
    return user ? { arn: user } : { error: 'STS refuses the credentials' };
  } finally {
    await client.close();
  }
}

answer(reply);
