package serving

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

// Export writes a folder that `slipway gateway` serves alone: the models of one
// endpoint, and a manifest that names them. The folder is not signed; whoever
// can write it decides what is served. It fails with Conflict when something is
// at the path.
func Export(ctx context.Context, dir string, e slipway.Endpoint, fetch *Shelf) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return slipway.Errorf(slipway.Conflict, "%s is not empty", dir)
	}
	m := slipway.Manifest{Number: 1, Time: time.Now().UTC(), Endpoint: []slipway.Endpoint{e}}
	if err := check(m); err != nil {
		return err
	}
	fetch.Dir = filepath.Join(dir, gatewayModels)
	for _, v := range e.Variant {
		if _, err := fetch.lay(ctx, v.Content); err != nil {
			return err
		}
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := writeDurably(filepath.Join(dir, manifestFile), raw); err != nil {
		return slipway.Errorf(slipway.Unavailable, "the folder cannot be written: %v", err)
	}
	return nil
}

// inferenceService is KServe's resource, as far as a gateway needs it
// (serving.kserve.io/v1beta1, a custom predictor).
const inferenceService = `# Made by slipway model export. The image is what --image wrote, pushed to a
# registry that the cluster reads.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: NAME
  labels:
    app.kubernetes.io/managed-by: slipway
  annotations:
    slipway.dev/model: MODEL
    slipway.dev/content: CONTENT
spec:
  predictor:
    containers:
      - name: kserve-container
        image: IMAGE
        args: [gateway, /model, --listen, "0.0.0.0:8080", --grpc, "0.0.0.0:8081"]
        env:
          - name: SLIPWAY_INFERENCE_TOKEN  # what callers send as a bearer token
            valueFrom:
              secretKeyRef: {name: NAME-token, key: token}
        ports:
          - {name: http1, containerPort: 8080, protocol: TCP}
        readinessProbe:
          httpGet: {path: /v2/health/ready, port: 8080}
          periodSeconds: 5
        livenessProbe:
          httpGet: {path: /v2/health/live, port: 8080}
        resources:
          requests: {cpu: 250m, memory: 128Mi}
          limits: {memory: 1Gi}
        volumeMounts:
          - {name: log, mountPath: /model/log}
    volumes:
      - name: log
        emptyDir: {}
`

// InferenceService is the manifest with which KServe runs the image of an
// exported endpoint.
func InferenceService(e slipway.Endpoint, image string) []byte {
	v := e.Variant[0]
	return []byte(strings.NewReplacer("NAME", clusterName(e.Name), "MODEL", `"`+v.Model+`"`, "CONTENT", string(v.Content), "IMAGE", image).Replace(inferenceService))
}

// clusterName is a name as Kubernetes takes it: RFC 1123, at most 63 characters.
func clusterName(name string) string {
	name = strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name), "-")
	if name = strings.Trim(name[:min(len(name), 50)], "-"); name == "" {
		return "model"
	}
	return name
}
