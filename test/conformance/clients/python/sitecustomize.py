"""Lends Python 3.11 what releases of 2017 to 2019 take for granted.

Names of collections went in Python 3.10, inspect.getargspec in 3.11. Nothing of
the SDK itself is changed.
"""

import collections
import collections.abc
import inspect

for name in collections.abc.__all__:
    if not hasattr(collections, name):
        setattr(collections, name, getattr(collections.abc, name))
if not hasattr(inspect, "getargspec"):
    inspect.getargspec = lambda f: inspect.getfullargspec(f)[:4]
