"""Asks a server with the public clients: tritonclient over HTTP and gRPC, and
MLflow's client of its scoring server. Arguments: the HTTP and gRPC addresses,
the endpoint's name and the probability that it must answer for the one row."""

import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

http, grpc, model, want = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
row = {
    "air_time": np.array([150.5]),
    "carrier": np.array([b"DL"], dtype=object),
    "hour": np.array([7], dtype=np.int64),
    "gate": np.array([20], dtype=np.int64),
}
types = {"air_time": "FP64", "carrier": "BYTES", "hour": "INT64", "gate": "INT64"}


def near(got):
    assert abs(got - want) < 1e-12, (got, want)


def ask(kind, client, **options):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(model)
    assert not client.is_model_ready("nobody")
    assert client.is_model_ready(model, "3")
    for binary in (True, False):
        inputs = []
        for name, values in row.items():
            tensor = kind.InferInput(name, [1], types[name])
            if kind is tritonclient.http:
                tensor.set_data_from_numpy(values, binary_data=binary)
            else:
                tensor.set_data_from_numpy(values)
            inputs.append(tensor)
        near(client.infer(model, inputs).as_numpy("probability")[0])
        if kind is tritonclient.http:
            outputs = [kind.InferRequestedOutput("probability", binary_data=binary)]
        else:
            outputs = [kind.InferRequestedOutput("probability")]
        answer = client.infer(model, inputs, outputs=outputs, request_id="seven", model_version="3", parameters={"unit": "UA17"}, **options)
        near(answer.as_numpy("probability")[0])
        assert answer.as_numpy("probability").shape == (1,)
        response = answer.get_response()
        assert (response["id"] if isinstance(response, dict) else response.id) == "seven", response
    try:
        client.infer(model, inputs, outputs=[kind.InferRequestedOutput("nothing")])
    except InferenceServerException as e:
        assert "nothing" in e.message(), e
    else:
        raise AssertionError("an output that is not there was answered")
    try:
        client.infer(model, inputs[:2])
    except InferenceServerException as e:
        assert "hour" in e.message(), e
    else:
        raise AssertionError("a row without its columns was answered")
    client.unload_model(model)
    assert not client.is_model_ready(model)
    client.load_model(model)
    near(client.infer(model, inputs).as_numpy("probability")[0])


web = tritonclient.http.InferenceServerClient(http)
ask(tritonclient.http, web, request_compression_algorithm="gzip")
assert web.get_server_metadata()["name"] == "slipway"
assert web.get_model_metadata(model)["inputs"][0]["name"] in types
assert web.get_model_repository_index()[0]["state"] == "READY"
rpc = tritonclient.grpc.InferenceServerClient(grpc)
ask(tritonclient.grpc, rpc, client_timeout=10)
assert rpc.get_server_metadata().name == "slipway"
assert [t.name for t in rpc.get_model_metadata(model).outputs] == ["probability"]
assert rpc.get_model_repository_index().models[0].state == "READY"

try:
    import pandas as pd
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient
except ImportError:
    print("answered; MLflow is not installed")
    sys.exit(0)
host, port = http.rsplit(":", 1)
mlflow = ScoringServerClient(host, int(port))
mlflow.ping()
frame = pd.DataFrame([{"air_time": 150.5, "carrier": "DL", "hour": 7, "gate": 20}])
near(mlflow.invoke(frame).get_predictions()[0].iloc[0])
print("answered")
