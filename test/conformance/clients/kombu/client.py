"""A program with kombu, Celery's library for queues, on SQS."""

import inspect
import json
import os
import sys

inspect.formatargspec = None  # kombu's library vine imports it; Python 3.11 has it no more

from kombu import Connection

connection = None


def work():
    global connection
    if connection is None:
        options = {"region": os.environ["AWS_REGION"], "is_secure": False, "wait_time_seconds": 1}
        connection = Connection("sqs://127.0.0.1:5000", transport_options=options)
    queue = connection.SimpleQueue("queue")
    sent = os.urandom(1000).hex()
    queue.put(sent)
    message = queue.get(timeout=20)
    message.ack()
    if message.payload != sent:
        raise RuntimeError("the message differs")
    queue.close()


for line in sys.stdin:
    answer = {}
    try:
        if line.strip() == "work":
            work()
    except Exception as e:
        answer = {"error": "%s: %s" % (type(e).__name__, e)}
    print(json.dumps(answer), flush=True)
