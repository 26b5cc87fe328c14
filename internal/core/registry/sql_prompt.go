package registry

import (
	"maps"

	"github.com/slipway-ml/slipway/internal/kit/db"
)

// The topics of prompts, which MLflow's clients keep as registered models with a
// mark.
const (
	PromptCreated           Topic = "prompt.created"
	PromptVersionCreated    Topic = "prompt_version.created"
	PromptTagSet            Topic = "prompt_tag.set"
	PromptTagDeleted        Topic = "prompt_tag.deleted"
	PromptVersionTagSet     Topic = "prompt_version_tag.set"
	PromptVersionTagDeleted Topic = "prompt_version_tag.deleted"
	PromptAliasCreated      Topic = "prompt_alias.created"
	PromptAliasDeleted      Topic = "prompt_alias.deleted"
)

// ofPrompt is the topic that a topic of models is when the model is a prompt.
var ofPrompt = map[Topic]Topic{
	ModelCreated: PromptCreated, VersionCreated: PromptVersionCreated, TagSet: PromptVersionTagSet, TagDeleted: PromptVersionTagDeleted,
	AliasCreated: PromptAliasCreated, AliasDeleted: PromptAliasDeleted, PromptTagSet: PromptTagSet, PromptTagDeleted: PromptTagDeleted,
}

// promptTags are the marks that clients make and messages leave out.
const (
	promptText = "mlflow.prompt.text"
	promptType = "_mlflow_prompt_type"
)

// asPrompt turns what is told of a model into what is told of a prompt.
func asPrompt(t Topic, data map[string]any) (Topic, map[string]any) {
	out := maps.Clone(data)
	tags, _ := data["tags"].(map[string]string)
	if t == VersionCreated {
		delete(out, "source")
		delete(out, "run_id")
		out["template"] = tags[promptText]
	}
	if tags != nil {
		rest := maps.Clone(tags)
		for _, mark := range []string{promptTag, promptText, promptType} {
			delete(rest, mark)
		}
		out["tags"] = rest
	}
	return ofPrompt[t], out
}

// isPrompt reports whether a model is a prompt.
func isPrompt(tx *db.Tx, project string, name any) (bool, error) {
	var n int
	err := tx.QueryRow(`SELECT COUNT(*) FROM model_tag WHERE project = ? AND name = ? AND key = ? AND value = 'true'`, project, name, promptTag).Scan(&n)
	return n > 0, err
}
