"""Reading logged predictions with their labels: inputs may be about people, so it takes more than reading does."""

from __future__ import annotations

from lockgate.domain.access import Act
from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.identity import Who
from lockgate.usecases.authorise import authorise, refusals_recorded
from lockgate.usecases.ports import Ports
from lockgate.usecases.prediction_ports import Asked, Page, PredictionLog


def read(ports: Ports, log: PredictionLog, who: Who, environment: str, model: str, asked: Asked) -> Page:
    """What was logged of one model in one environment on one day.

    Raises NotFound for the model, BadInput for the environment, Forbidden.
    """
    with refusals_recorded(ports, who, "predictions", model), ports.store.reading() as work:
        authorise(work, who, Act.READ_PREDICTIONS, model)
        if not work.catalog.has_model(model):
            raise NotFound(f"Registered Model with name={model} not found", hint="lockgate status lists the models.")
        policy = work.policies.in_force()
    if policy.environment(environment) is None:
        names = ", ".join(each.name for each in policy.environments)
        raise BadInput(f"There is no environment {environment!r}.", hint=f"The policy names {names}.")
    return log.read(environment, model, asked)
