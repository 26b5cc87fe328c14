package mlflow

import (
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/registry"
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
	Description string          `json:"description"`
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
	Description string          `json:"description"`
	Source      string          `json:"source"`
	Run         string          `json:"run_id,omitempty"`
	Status      string          `json:"status"`
	Message     string          `json:"status_message,omitempty"`
	Tags        []tracking.Pair `json:"tags"`
	RunLink     string          `json:"run_link,omitempty"`
	Aliases     []string        `json:"aliases"`
	LoggedModel string          `json:"model_id,omitempty"`
}

func registeredOut(c registry.Card) registeredWire {
	w := registeredWire{Name: c.Name, Created: millis(c.Created), Updated: millis(c.Updated), User: c.Actor, Description: c.Description,
		Latest: versionsOut(c.Latest), Tags: pairsOut(c.Tag), Aliases: []aliasWire{}}
	for _, a := range c.Alias {
		w.Aliases = append(w.Aliases, aliasWire{a.Alias, strconv.Itoa(a.Version)})
	}
	return w
}

func pairsOut(tags []registry.Tag) []tracking.Pair {
	out := make([]tracking.Pair, len(tags))
	for i, t := range tags {
		out[i] = tracking.Pair{Key: t.Key, Value: t.Value}
	}
	return out
}

func versionOut(e registry.Entry) versionWire {
	w := versionWire{Name: e.Name, Version: strconv.Itoa(e.Version), Created: millis(e.Created), Updated: millis(e.Updated), User: e.Actor,
		Stage: e.Stage, Description: e.Description, Source: e.Origin, Run: e.Run, Status: "READY", Tags: pairsOut(e.Tag), RunLink: e.RunLink,
		Aliases: e.Alias, LoggedModel: e.LoggedModel}
	if w.Source == "" {
		w.Source = registeredURI(e)
	}
	if e.State != slipway.ModelRegistered && e.Content != "" {
		w.Message = "the gates say: " + string(e.State)
	}
	if w.Aliases == nil {
		w.Aliases = []string{}
	}
	return w
}

func versionsOut(all []registry.Entry) []versionWire {
	out := make([]versionWire, len(all))
	for i, e := range all {
		out[i] = versionOut(e)
	}
	return out
}

func registeredReply(c registry.Card, err error) (any, error) {
	return map[string]any{"registered_model": registeredOut(c)}, err
}

func versionReply(e registry.Entry, err error) (any, error) {
	return map[string]any{"model_version": versionOut(e)}, err
}
