"""MLflow's GraphQL with nothing in it that changes anything: queries, and the mutations that only search."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from mlflow.server import handlers

if TYPE_CHECKING:
    from graphql import GraphQLSchema

# as MLflow's schema has them: searches that are called mutations because they are sent by POST
READING_MUTATIONS = frozenset({"mlflowSearchDatasets", "mlflowSearchRuns"})
ENDPOINT = handlers._graphql.__name__


def close_mutations(app: Flask) -> None:
    """Stand before MLflow's GraphQL route. Its schema is loaded by the first question: it is large and seldom used."""
    inner = app.view_functions[ENDPOINT]
    closed = False

    def answer() -> Any:
        nonlocal closed
        from graphql import GraphQLError

        if wrong := _wrong(request.get_json(force=True, silent=True)):
            return _refused(wrong)
        if not closed:
            _close(_schema())
            closed = True
        try:
            return inner()
        except GraphQLError as error:
            return _refused(error.message)

    app.view_functions[ENDPOINT] = answer


def _schema() -> GraphQLSchema:
    from mlflow.server.graphql.graphql_schema_extensions import schema

    return schema.graphql_schema


def _close(schema: GraphQLSchema) -> None:
    if schema.mutation_type is not None:
        for name in schema.mutation_type.fields.keys() - READING_MUTATIONS:
            del schema.mutation_type.fields[name]


def _wrong(asked: Any) -> str:
    if not isinstance(asked, dict) or not isinstance(asked.get("query"), str):
        return 'Send a JSON object with the text of a query, for example {"query": "{ __typename }"}.'
    if not isinstance(asked.get("variables"), dict | None):
        return "variables is an object with the value of each variable."
    if not isinstance(asked.get("operationName"), str | None):
        return "operationName is the name of one operation of the query."
    return ""


def _refused(message: str) -> Response:
    body = {"error_code": "INVALID_PARAMETER_VALUE", "message": message, "data": None, "errors": [message]}
    return Response(json.dumps(body), status=400, mimetype="application/json")
