"""Lockgate's own routes, each with what it changes and what its caller needs: a route that is not here does not start.

The marks are those of known_routes.py: R changes the registry, E something else, and then what the caller needs: one of
`read`, `record`, `predictions`, `write`, `ask`, `check`, `number`, `decide`, `glass`, `operate`, `remove`, `webhooks`,
`policy`, `people`, `routers` and `keep`, several with `|` between; or `own` for what is the caller's alone, or `open`
for everybody. What only reads needs no mark: it takes `read`.
"""

from __future__ import annotations

OWN_ROUTES = """
    GET     /health                                 open
    GET     /ready                                  open
    GET     /api/lockgate/v1/openapi.json
    GET     /api/lockgate/v1/status
    GET     /api/lockgate/v1/endpoints
    GET     /api/lockgate/v1/endpoints/splits
    POST    /api/lockgate/v1/endpoints/split        E operate
    POST    /api/lockgate/v1/endpoints/split/remove E operate
    GET     /api/lockgate/v1/endpoints/tokens       operate
    POST    /api/lockgate/v1/endpoints/tokens       E operate
    POST    /api/lockgate/v1/endpoints/tokens/revoke E operate
    POST    /api/lockgate/v1/endpoints/retire       E operate
    GET     /api/lockgate/v1/predictions            predictions
    POST    /api/lockgate/v1/plan
    GET     /api/lockgate/v1/promotions
    POST    /api/lockgate/v1/promotions             R ask
    GET     /api/lockgate/v1/promotions/{id}
    POST    /api/lockgate/v1/promotions/{id}/cancel E ask|operate
    POST    /api/lockgate/v1/rollbacks              R operate
    GET     /api/lockgate/v1/rollouts
    GET     /api/lockgate/v1/validations
    POST    /api/lockgate/v1/validations            E ask
    GET     /api/lockgate/v1/validations/{id}
    GET     /api/lockgate/v1/engines
    POST    /api/lockgate/v1/engines                E ask
    GET     /api/lockgate/v1/engines/{id}
    GET     /api/lockgate/v1/checks
    POST    /api/lockgate/v1/checks                 E check
    GET     /api/lockgate/v1/semver
    GET     /api/lockgate/v1/semver/version
    POST    /api/lockgate/v1/semver                 R number
    GET     /api/lockgate/v1/approvals
    POST    /api/lockgate/v1/approvals              R ask
    POST    /api/lockgate/v1/approvals/decision     R read|decide
    POST    /api/lockgate/v1/approvals/withdraw     R read|ask|decide
    GET     /api/lockgate/v1/approvals/{id}
    GET     /api/lockgate/v1/plans/{digest}
    GET     /api/lockgate/v1/delegations
    POST    /api/lockgate/v1/delegations            E decide
    POST    /api/lockgate/v1/delegations/{id}/end   E read|decide|people
    GET     /api/lockgate/v1/break-glass
    POST    /api/lockgate/v1/break-glass            E glass
    GET     /api/lockgate/v1/break-glass/{id}
    POST    /api/lockgate/v1/break-glass/{id}/confirm   R glass
    POST    /api/lockgate/v1/break-glass/{id}/review    E glass
    GET     /api/lockgate/v1/audit                  record
    GET     /api/lockgate/v1/audit/verify           record
    GET     /api/lockgate/v1/audit/checkpoint       record
    GET     /api/lockgate/v1/audit/consistency      record
    GET     /api/lockgate/v1/audit/proof            record
    GET     /api/lockgate/v1/audit/export           record
    GET     /api/lockgate/v1/audit/keys             record
    POST    /api/lockgate/v1/audit/keys             E keep
    POST    /api/lockgate/v1/audit/keys/retire      E keep
    GET     /api/lockgate/v1/audit/as-of            record
    GET     /api/lockgate/v1/audit/sample           record
    GET     /api/lockgate/v1/audit/anchors          record
    GET     /api/lockgate/v1/audit/retention        record
    POST    /api/lockgate/v1/audit/retention        E keep
    POST    /api/lockgate/v1/audit/holds            E keep
    POST    /api/lockgate/v1/audit/holds/release    E keep
    GET     /api/lockgate/v1/policy
    POST    /api/lockgate/v1/policy/check
    GET     /api/lockgate/v1/policy/proposals
    GET     /api/lockgate/v1/policy/proposals/{id}
    POST    /api/lockgate/v1/policy/proposals/{id}/approve  E policy
    POST    /api/lockgate/v1/policy/proposals/{id}/reject   E policy
    POST    /api/lockgate/v1/policy/explain
    POST    /api/lockgate/v1/policy/simulate        record
    POST    /api/lockgate/v1/policy/apply           E policy
    POST    /api/lockgate/v1/audit/replay           record
    GET     /api/lockgate/v1/drift
    POST    /api/lockgate/v1/drift/accept           E operate
    GET     /api/lockgate/v1/webhooks
    GET     /api/lockgate/v1/webhooks/{id}/deliveries
    POST    /api/lockgate/v1/webhooks/{id}/subscribe    R webhooks
    POST    /api/lockgate/v1/webhooks/{id}/unsubscribe  R webhooks
    POST    /api/lockgate/v1/deliveries/{id}/redeliver  E webhooks
    GET     /api/lockgate/v1/whoami                 own
    POST    /api/lockgate/v1/password               E own
    GET     /api/lockgate/v1/users                  people
    GET     /api/lockgate/v1/users/named            own
    POST    /api/lockgate/v1/users                  E people
    POST    /api/lockgate/v1/users/import           E people
    POST    /api/lockgate/v1/users/grant            E people
    POST    /api/lockgate/v1/users/revoke           E people
    POST    /api/lockgate/v1/users/disable          E people
    POST    /api/lockgate/v1/users/enable           E people
    POST    /api/lockgate/v1/users/password         E people
    GET     /api/lockgate/v1/tokens                 own
    POST    /api/lockgate/v1/tokens                 E own
    POST    /api/lockgate/v1/tokens/revoke          E own
"""
