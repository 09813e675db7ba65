"""Adds to Python 3.11 what SDK releases of 2017 to 2019 expect.

Python 3.10 removed aliases from collections, and 3.11 removed inspect.getargspec.
The SDK itself is not changed.
"""

import collections
import collections.abc
import inspect

for name in collections.abc.__all__:
    if not hasattr(collections, name):
        setattr(collections, name, getattr(collections.abc, name))
if not hasattr(inspect, "getargspec"):
    inspect.getargspec = lambda f: inspect.getfullargspec(f)[:4]
