"""What other services may rely on, in forms that machines read: JSON Schemas, their examples, an AsyncAPI document.

All made from `schemas` by `python -m rendercast.contracts write`, in a checkout. Nothing here runs in a process.
"""
