'use strict';

const readline = require('readline');

// answer answers the questions on stdin, one at a time and in order.
module.exports = function answer(reply) {
  let last = Promise.resolve();
  readline.createInterface({ input: process.stdin }).on('line', question => {
    last = last
      .then(() => reply(...question.split(' ')))
      .catch(err => ({ error: String(err) }))
      .then(answer => console.log(JSON.stringify(answer)));
  });
};
