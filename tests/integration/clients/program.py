"""What a user of an older MLflow does, start to end; it runs with that MLflow and prints what happened as JSON."""

import json
import os
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")

import mlflow  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

DOUBLE = """
import mlflow.pyfunc
from mlflow.models import set_model

class Double(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [2 * x for x in model_input["x"]]

set_model(Double())
"""
model, flavor = sys.argv[1:]
client = MlflowClient()
seen = {"release": mlflow.__version__}


def log(name):
    named = {"name": "model"} if int(mlflow.__version__.split(".")[0]) >= 3 else {"artifact_path": "model"}
    if flavor == "sklearn":
        import numpy
        from mlflow import sklearn
        from sklearn.linear_model import LinearRegression

        fitted = LinearRegression().fit(numpy.array([[0.0], [1.0]]), numpy.array([0.0, 2.0]))
        return sklearn.log_model(fitted, **named, registered_model_name=name)
    program = os.path.join(tempfile.mkdtemp(), "double.py")
    with open(program, "w") as file:
        file.write(DOUBLE)
    return mlflow.pyfunc.log_model(
        python_model=program, **named, registered_model_name=name, pip_requirements=["numpy"]
    )


def refusal(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except MlflowException as error:
        return {"code": error.error_code, "message": str(error.message)}
    return None


with mlflow.start_run():
    mlflow.log_metric("accuracy", 0.97)
    log(model)
version = client.search_model_versions(f"name = '{model}'")[0].version
seen["registered"] = [str(version), client.get_registered_model(model).name]

client.update_registered_model(model, "cards")
client.update_model_version(model, version, "the first")
client.set_registered_model_tag(model, "owner", "risk")
client.set_model_version_tag(model, version, "note", "grün")
client.set_registered_model_alias(model, "mine", version)
got = client.get_model_version_by_alias(model, "mine")
seen["described"] = [
    client.get_registered_model(model).description,
    got.description,
    got.tags["note"],
    list(got.aliases),
]
seen["models found"] = [
    found.name for found in client.search_registered_models(f"name = '{model}' AND tags.owner = 'risk'", max_results=5)
]
seen["versions found"] = [
    found.tags["note"] for found in client.search_model_versions(f"name = '{model}' AND tags.note = 'grün'")
]

seen["refused"] = refusal(client.transition_model_version_stage, model, version, "Staging")
seen["refused alias"] = refusal(client.set_registered_model_alias, model, "staging", version)
seen["refused tag"] = refusal(client.set_model_version_tag, model, version, "staging_timestamp", "1")
seen["unknown stage"] = refusal(client.transition_model_version_stage, model, version, "Nowhere")
client.set_model_version_tag(model, version, "team", "risk")
seen["moved"] = client.transition_model_version_stage(
    model, version, "Staging", archive_existing_versions=True
).current_stage
seen["latest"] = [str(found.version) for found in client.get_latest_versions(model, stages=["Staging"])]
seen["alias follows"] = str(client.get_model_version_by_alias(model, "staging").version)

uri = client.get_model_version_download_uri(model, version)
seen["download uri"] = bool(uri)
folder = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{model}/Staging")
seen["downloaded"] = sorted(name for name in os.listdir(folder) if name == "MLmodel")
import pandas  # noqa: E402 - only what is loaded from here on needs it

loaded = mlflow.pyfunc.load_model(f"models:/{model}@staging")
seen["predicted"] = [round(float(value), 3) for value in loaded.predict(pandas.DataFrame({"x": [1.0, 2.0]}))]

client.register_prompt(f"{model}-prompt", "Say {{word}}.")
seen["prompt"] = client.load_prompt(f"prompts:/{model}-prompt/1").template

client.delete_model_version_tag(model, version, "note")
client.delete_registered_model_alias(model, "mine")
client.rename_registered_model(model, f"{model}-2")
client.delete_model_version(f"{model}-2", version)
client.delete_registered_model(f"{model}-2")
seen["deleted"] = refusal(client.get_registered_model, f"{model}-2")
print(json.dumps(seen))
