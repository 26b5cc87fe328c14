package mlflow

import (
	"strconv"

	"github.com/slipway-ml/slipway/internal/core/tracking"
)

type aliasWire struct {
	Alias   string `json:"alias"`
	Version string `json:"version"`
}

type registeredWire struct {
	Name        string          `json:"name"`
	Created     int64           `json:"creation_timestamp"`
	Updated     int64           `json:"last_updated_timestamp"`
	User        string          `json:"user_id,omitempty"`
	Description string          `json:"description,omitempty"`
	Latest      []versionWire   `json:"latest_versions"`
	Tags        []tracking.Pair `json:"tags"`
	Aliases     []aliasWire     `json:"aliases"`
}

type versionWire struct {
	Name        string          `json:"name"`
	Version     string          `json:"version"`
	Created     int64           `json:"creation_timestamp"`
	Updated     int64           `json:"last_updated_timestamp"`
	User        string          `json:"user_id,omitempty"`
	Stage       string          `json:"current_stage"`
	Description string          `json:"description,omitempty"`
	Source      string          `json:"source"`
	Run         string          `json:"run_id,omitempty"`
	Status      string          `json:"status"`
	Message     string          `json:"status_message,omitempty"`
	Tags        []tracking.Pair `json:"tags"`
	RunLink     string          `json:"run_link,omitempty"`
	Aliases     []string        `json:"aliases"`
	LoggedModel string          `json:"model_id,omitempty"`
}

func registeredOut(m RegisteredModel) registeredWire {
	w := registeredWire{Name: m.Name, Created: millis(m.Created), Updated: millis(m.Updated), User: m.User, Description: m.Description,
		Latest: versionsOut(m.Latest), Tags: toPairs(m.Tags), Aliases: []aliasWire{}}
	for _, a := range m.Aliases {
		w.Aliases = append(w.Aliases, aliasWire{a.Name, strconv.Itoa(a.Version)})
	}
	return w
}

func versionOut(v ModelVersion) versionWire {
	w := versionWire{Name: v.Name, Version: strconv.Itoa(v.Version), Created: millis(v.Created), Updated: millis(v.Updated), User: v.User,
		Stage: v.Stage, Description: v.Description, Source: v.Source, Run: v.Run, Status: v.Status, Message: v.Message,
		Tags: toPairs(v.Tags), RunLink: v.RunLink, Aliases: v.Aliases, LoggedModel: v.LoggedModel}
	if w.Aliases == nil {
		w.Aliases = []string{}
	}
	return w
}

func versionsOut(all []ModelVersion) []versionWire {
	out := make([]versionWire, len(all))
	for i, v := range all {
		out[i] = versionOut(v)
	}
	return out
}

func registeredReply(m RegisteredModel, err error) (any, error) {
	return map[string]any{"registered_model": registeredOut(m)}, err
}

func versionReply(v ModelVersion, err error) (any, error) {
	return map[string]any{"model_version": versionOut(v)}, err
}
