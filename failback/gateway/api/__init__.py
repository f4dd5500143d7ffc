"""The operator API: a table of operations that routes, roles and the description are made from."""

from failback.gateway.api.openapi import described
from failback.gateway.api.operations import Api, Operation
from failback.gateway.api.table import Backing, operations_of

__all__ = ["Api", "Backing", "Operation", "described", "operations_of"]
