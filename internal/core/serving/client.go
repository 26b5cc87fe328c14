package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/slipway-ml/slipway"
)

// defaultInference is where endpoints answer when nobody says otherwise.
const defaultInference = "127.0.0.1:7071"

// client asks an inference address, as any other caller would.
type client struct {
	address, token string
	http           *http.Client
}

// reply is an Open Inference Protocol reply.
type reply struct {
	Model      string `json:"model_name"`
	Version    string `json:"model_version"`
	ID         string `json:"id"`
	Parameters struct {
		Prediction  []string `json:"prediction_id"`
		Variant     string   `json:"variant"`
		Model       string   `json:"model"`
		Explanation struct {
			Feature []string `json:"features"`
			Output  []string `json:"outputs"`
			Space   string   `json:"space"`
			Method  string   `json:"method"`
		} `json:"explanation"`
	} `json:"parameters"`
	Outputs []replyTensor `json:"outputs"`
}

type replyTensor struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Data     []any  `json:"data"`
}

func newClient(getenv func(string) string) *client {
	address := getenv("SLIPWAY_INFERENCE")
	if address == "" {
		address = defaultInference
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	return &client{strings.TrimRight(address, "/"), getenv("SLIPWAY_TOKEN"), &http.Client{}}
}

// do sends a request and gives the body of its reply. It fails with the code of
// the reply's status.
func (c *client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "%q is no address", c.address)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, slipway.Errorf(slipway.Unavailable, "nothing answers at %s", c.address).
			WithHint("start `slipway up` or `slipway serve PATH`, or say where with SLIPWAY_INFERENCE")
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the answer of %s broke off", c.address)
	}
	if resp.StatusCode < 400 {
		return raw, nil
	}
	var e struct {
		Error   string `json:"error"`
		Message string `json:"message"` // of the door before it
	}
	if json.Unmarshal(raw, &e) != nil || e.Error+e.Message == "" {
		e.Error = fmt.Sprintf("%s answers %s", c.address, resp.Status)
	}
	return nil, slipway.Errorf(slipway.CodeOfStatus(resp.StatusCode), "%s", e.Error+e.Message)
}

// endpoint is name, or the only endpoint that there is.
func (c *client) endpoint(ctx context.Context, name string) (string, error) {
	if name != "" {
		return name, nil
	}
	raw, err := c.do(ctx, http.MethodPost, "/v2/repository/index", nil)
	if err != nil {
		return "", err
	}
	var list []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return "", slipway.Errorf(slipway.Unavailable, "%s is no inference server", c.address)
	}
	var names []string
	for _, e := range list {
		if len(names) == 0 || names[len(names)-1] != e.Name {
			names = append(names, e.Name)
		}
	}
	if len(names) != 1 {
		return "", slipway.Errorf(slipway.Invalid, "%d endpoints answer at %s", len(names), c.address).WithHint("name one of: %s", strings.Join(names, ", "))
	}
	return names[0], nil
}

// ask sends rows to verb, which is infer or explain.
func (c *client) ask(ctx context.Context, endpoint, verb string, body []byte) (reply, []byte, error) {
	var out reply
	name, version, _ := strings.Cut(endpoint, "@")
	path := "/v2/models/" + url.PathEscape(name)
	if version != "" {
		path += "/versions/" + url.PathEscape(version)
	}
	raw, err := c.do(ctx, http.MethodPost, path+"/"+verb, body)
	if err == nil && json.Unmarshal(raw, &out) != nil {
		err = slipway.Errorf(slipway.Unavailable, "the answer of %s is not understood", c.address)
	}
	return out, raw, err
}

// requestOf makes a request of what a person typed: a row as an object, a list
// of rows, or a request that is complete already.
func requestOf(typed []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(typed))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.More() {
		return nil, slipway.Errorf(slipway.Invalid, "the row is no JSON: %v", err).WithHint(`write {"column": value, …}`)
	}
	if one, ok := v.(map[string]any); ok {
		if _, complete := one["inputs"].([]any); complete {
			return typed, nil
		}
		v = []any{one}
	}
	rows, ok := v.([]any)
	if !ok || len(rows) == 0 {
		return nil, slipway.Errorf(slipway.Invalid, "there are no rows").WithHint(`write {"column": value, …}`)
	}
	var names []string
	columns := map[string][]any{}
	for i, r := range rows {
		row, ok := r.(map[string]any)
		if !ok {
			return nil, slipway.Errorf(slipway.Invalid, "row %d is no object", i+1).WithHint(`write {"column": value, …}`)
		}
		for name, value := range row {
			if columns[name] == nil {
				columns[name] = make([]any, len(rows))
				names = append(names, name)
			}
			columns[name][i] = value
		}
	}
	var inputs []map[string]any
	for _, name := range names {
		kind := "FP64"
		for _, value := range columns[name] {
			switch value.(type) {
			case string:
				kind = "BYTES"
			case bool:
				kind = "BOOL"
			}
		}
		inputs = append(inputs, map[string]any{"name": name, "shape": []int{len(rows)}, "datatype": kind, "data": columns[name]})
	}
	return json.Marshal(map[string]any{"inputs": inputs})
}

// firstRow is the values of the first row as it was typed, by column; empty for
// a request in the protocol's own form.
func firstRow(typed []byte) map[string]any {
	var one map[string]any
	if json.Unmarshal(typed, &one) == nil {
		return one
	}
	var rows []map[string]any
	if json.Unmarshal(typed, &rows) == nil && len(rows) > 0 {
		return rows[0]
	}
	return nil
}
