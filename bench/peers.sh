#!/usr/bin/env bash
# Installs what the benchmarks are compared with into .tools/bench, nowhere else.
# PYTHON chooses the interpreter that the environment is made with.
set -euo pipefail
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" -m venv .tools/bench
.tools/bench/bin/python -m pip install --quiet --upgrade pip
# MLServer 1.7.1 asks uvloop for a loop that 0.22 and later do not make, and its workers die.
for peer in mlflow lightgbm xgboost shap scikit-learn onnxruntime dvc mlserver mlserver-xgboost "uvloop<0.22"; do
	.tools/bench/bin/python -m pip install --quiet "$peer" || echo "bench/peers.sh: $peer could not be installed; its benchmarks will be skipped"
done
.tools/bench/bin/python -m pip list 2>/dev/null | grep -iE '^(mlflow|lightgbm|xgboost|shap|scikit-learn|onnxruntime|mlserver|numpy|dvc) '
