"""The revisions of MLflow's schema that this release has read, and the tables of the one it works on.

A test compares both with the MLflow that is installed; the processes that read this never import MLflow.
"""

from __future__ import annotations

MLFLOW = "3.17"
HEAD = "dc11669786a5"

# every revision on the way there: `mlflow db upgrade` leads from each of them to HEAD
OLDER: frozenset[str] = frozenset(
    """
    75868b020152 b7e2c1a4d9f3 17e22815139b 1971f2d9a75b 6f8d9c3b2a1e c3d9e7f1a2b4 c1d2e3f4a5b6 a8b9c0d1e2f3
    b7e4c1a90f23 89d3d66ed43f da6fb0208061 7d34483879f0 ae8bbe7743c9 a5b4c3d2e1f0 c3d6457b6d8a 76601a5f987d
    e1f2a3b4c5d6 1b5f0d9ad7c1 c8d9e0f1a2b3 d0e1f2a3b4c5 d3e4f5a6b7c8 2c33131f4dae c9d4e5f6a7b8 5d2d30f0abce
    b7c8d9e0f1a2 1bd49d398cd23 bf29a5ff90ea 3da73c924c2f 71994744cf8e 534353b11cbc 1a0cddfcaa16 de4033877273
    a1b2c3d4e5f6 770bee3ae1dd cbc13b556ace bda7b8c39065 6953534de441 400f98739977 0584bdc529eb f5a4f2784254
    4465047574b1 5b0e9adcef9c 867495a8f9d4 acf3f17fdcc7 2d6e25af4d3e 7f2a7d5fae7d 3500859a5d39 97727af70f4d
    cc1f77228345 0c779009ac13 bd07f7e963c5 c48cb773bb87 39d1c3be5f05 a8c4a736bde6 84291f40a231 27a6a02d2cf1
    728d730b5ebd 0a8213491aaa cfd24bdc0731 2b4d017a5e9b 89d4b8295536 7ac759974ad8 df50e92ffc5e 181f10493468
    90e64c465722 451aebb31d03
    """.split()  # noqa: SIM905 - a list of words is easier to read and to compare
)

TABLES: frozenset[str] = frozenset(
    """
    assessments budget_policies datasets endpoint_bindings endpoint_model_mappings endpoint_tags endpoints
    entity_associations evaluation_dataset_records evaluation_dataset_tags evaluation_datasets experiment_tags
    experiments guardrail_configs guardrails input_tags inputs issues job_locks jobs label_schemas latest_metrics
    logged_model_metrics logged_model_params logged_model_tags logged_models mcp_access_endpoints mcp_server_aliases
    mcp_server_tags mcp_server_version_tags mcp_server_versions mcp_servers metrics model_definitions
    model_version_tags model_versions online_scoring_configs params registered_model_aliases registered_model_tags
    registered_models review_queue_items review_queue_label_schemas review_queue_users review_queues runs
    scheduler_leases scorer_versions scorers secrets span_metrics spans sql_assessment_daily_rollups
    sql_span_cost_daily_rollups sql_trace_metric_daily_rollups sql_trace_rollup_rebuild_queue tags trace_info
    trace_metrics trace_request_metadata trace_tags webhook_events webhooks workspaces
    """.split()  # noqa: SIM905 - a list of words is easier to read and to compare
)
VERSION_TABLE = "alembic_version"
