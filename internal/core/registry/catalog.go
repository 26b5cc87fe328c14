package registry

import (
	"context"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-ml/slipway"
)

// Card is a registered model as people look it up: what they wrote about it and
// the versions that they mean by a stage or an alias.
type Card struct {
	Project     string    `json:"project"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Actor       string    `json:"actor"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	Tag         []Tag     `json:"tag"`
	Alias       []Alias   `json:"alias"`
	Latest      []Entry   `json:"latest"` // the newest version of each stage
}

// Entry is a version without what a gate or a gateway needs of it.
type Entry struct {
	Project     string             `json:"project"`
	Name        string             `json:"name"`
	Version     int                `json:"version"`
	Description string             `json:"description,omitempty"`
	Stage       string             `json:"stage"`
	Origin      string             `json:"origin,omitempty"` // URI of its files, as a client named them
	Run         string             `json:"run,omitempty"`
	RunLink     string             `json:"run_link,omitempty"`
	LoggedModel string             `json:"logged_model,omitempty"`
	Source      slipway.Source     `json:"source"`
	State       slipway.ModelState `json:"state"`
	Content     slipway.Digest     `json:"content,omitempty"` // "" when the files are not kept here
	Created     time.Time          `json:"created"`
	Updated     time.Time          `json:"updated"`
	Actor       string             `json:"actor"`
	Tag         []Tag              `json:"tag"`
	Alias       []string           `json:"alias"`
}

// Tag is a key and what somebody wrote for it.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Limits of what people write, which are those of MLflow. Lengths are in
// characters.
const (
	maxTagKey   = 250
	maxTagValue = 100_000
	maxAlias    = 255
)

// CheckClientName accepts the names that MLflow's clients give to models, of
// which our own are some: anything that models:/name/1 and name@v1 can hold.
func CheckClientName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return slipway.Errorf(slipway.Invalid, "Missing value for required parameter 'name'.")
	case strings.ContainsAny(name, "/:"):
		return slipway.Errorf(slipway.Invalid, "Invalid model name '%s'. Names cannot contain '/' or ':'.", name)
	case strings.ContainsAny(name, "@\x00\r\n") || !utf8.ValidString(name):
		return slipway.Errorf(slipway.Invalid, "Invalid model name %q. Names cannot contain '@', which comes before a version or an alias.", name)
	case path.Clean(name) != name || name == "." || strings.HasPrefix(name, ".."):
		return slipway.Errorf(slipway.Invalid, "Invalid model name '%s'. It would mean another one when it is read as a path.", name)
	case utf8.RuneCountInString(name) > maxAlias:
		return slipway.Errorf(slipway.Invalid, "Model name exceeds the maximum length of %d characters", maxAlias)
	}
	return nil
}

var (
	clientAlias  = regexp.MustCompile(`^[\pL\pN_-]+$`)
	versionAlias = regexp.MustCompile(`^[vV][0-9]+$`)
)

// CheckClientAlias accepts the aliases of MLflow's clients. "latest" and v1 mean
// something else in a URI.
func CheckClientAlias(alias string) error {
	switch {
	case alias == "":
		return slipway.Errorf(slipway.Invalid, "Registered model alias name cannot be empty.")
	case !clientAlias.MatchString(alias):
		return slipway.Errorf(slipway.Invalid, "Invalid alias name: '%s'. Names may only contain alphanumerics, underscores (_), and dashes (-).", alias)
	case utf8.RuneCountInString(alias) > maxAlias:
		return slipway.Errorf(slipway.Invalid, "Registered model alias name exceeds the maximum length of %d characters", maxAlias)
	case strings.EqualFold(alias, "latest"):
		return slipway.Errorf(slipway.Invalid, "'latest' alias name (case insensitive) is reserved.")
	case versionAlias.MatchString(alias):
		return slipway.Errorf(slipway.Invalid, "Version alias name '%s' is reserved.", alias)
	}
	return nil
}

// CheckTag accepts a tag of a model or a version.
func CheckTag(t Tag) error {
	switch {
	case t.Key == "":
		return slipway.Errorf(slipway.Invalid, "Missing value for required parameter 'key'. A key name must be provided.")
	case path.Clean(t.Key) != t.Key || t.Key == "." || strings.HasPrefix(t.Key, "..") || strings.HasPrefix(t.Key, "/"):
		return slipway.Errorf(slipway.Invalid, "Invalid tag name: '%s'. It would mean another one when it is read as a path.", t.Key)
	case strings.ContainsRune(t.Key+t.Value, 0):
		return slipway.Errorf(slipway.Invalid, "Invalid tag '%.100q': it holds a zero byte", t.Key)
	case utf8.RuneCountInString(t.Key) > maxTagKey:
		return slipway.Errorf(slipway.Invalid, "'key' exceeds the maximum length of %d characters", maxTagKey)
	case utf8.RuneCountInString(t.Value) > maxTagValue:
		return slipway.Errorf(slipway.Invalid, "'value' exceeds the maximum length of %d characters", maxTagValue)
	}
	return nil
}

func checkTags(tags []Tag) error {
	for _, t := range tags {
		if err := CheckTag(t); err != nil {
			return err
		}
	}
	return nil
}

// Arrival asks for a version as MLflow's clients do: each call makes one.
type Arrival struct {
	Project, Name, Description string
	Content                    slipway.Digest // content.Tree of its files, "" when they are not kept here
	Origin                     string         // URI of its files
	Run, RunLink, LoggedModel  string
	Tag                        []Tag
}

// Arrive registers a version of a model that exists. The files are looked at
// only as far as that executes nothing of them. It fails with NotFound when
// there is no such model.
func (s *Service) Arrive(ctx context.Context, in Arrival) (Entry, error) {
	if err := checkTags(in.Tag); err != nil {
		return Entry{}, err
	}
	v := slipway.ModelVersion{Project: in.Project, Name: in.Name, Content: in.Content, Origin: in.Origin, Run: in.Run, Description: in.Description,
		Source: slipway.FromClient, State: slipway.ModelRegistered}
	if v.Content == "" {
		v.State = slipway.ModelUngated
	} else if err := s.look(ctx, &v); err != nil {
		return Entry{}, err
	}
	v, err := s.insert(ctx, arrival{ModelVersion: v, always: true, runLink: in.RunLink, loggedModel: in.LoggedModel, tag: in.Tag})
	if err != nil {
		return Entry{}, err
	}
	return s.Entry(ctx, v.Project, v.Name, v.Version)
}

// look reads the size and, where that is safe, the signature of v's files.
func (s *Service) look(ctx context.Context, v *slipway.ModelVersion) error {
	tree, err := s.o.Content.GetTree(ctx, v.Content)
	if err != nil {
		return err
	}
	v.Size = tree.Size()
	m, err := s.o.Loader.Read(ctx, v.Content, nil)
	if err != nil || m == nil {
		return unopened(err)
	}
	v.Signature = m.Signature()
	return m.Close()
}

// Rename gives a model another name, and its versions with it. What is released
// keeps its name: Rename fails with Conflict when a release needs a version, or
// when the other name is or was somebody's.
func (s *Service) Rename(ctx context.Context, project, name, to string) (Card, error) {
	if err := CheckClientName(to); err != nil {
		return Card{}, err
	}
	if err := s.allUnneeded(ctx, project, name); err != nil {
		return Card{}, err
	}
	if err := s.rename(ctx, project, name, to); err != nil {
		return Card{}, err
	}
	return s.Card(ctx, project, to)
}

// DeleteModel deletes a model with its versions and aliases. It fails with
// NotFound, and with Conflict when a release needs a version.
func (s *Service) DeleteModel(ctx context.Context, project, name string) error {
	if err := s.allUnneeded(ctx, project, name); err != nil {
		return err
	}
	return s.deleteModel(ctx, project, name)
}

// DeleteVersion is Delete for one who wants its aliases gone with it.
func (s *Service) DeleteVersion(ctx context.Context, project, name string, n int) error {
	v, err := s.Version(ctx, project, name, n)
	if err == nil {
		err = s.Unneeded(ctx, project, name, n)
	}
	if err != nil {
		return err
	}
	_, err = s.remove(ctx, v, true)
	return err
}

// PointAlias is SetAlias for the aliases of MLflow's clients; version 0 takes
// the alias away.
func (s *Service) PointAlias(ctx context.Context, project, name, alias string, n int) error {
	if n > 0 {
		if err := CheckClientAlias(alias); err != nil {
			return err
		}
	}
	_, err := s.moveAlias(ctx, project, name, alias, n)
	return err
}

func (s *Service) allUnneeded(ctx context.Context, project, name string) error {
	m, err := s.Model(ctx, project, name)
	if err != nil {
		return err
	}
	for _, v := range m.Version {
		if err := s.Unneeded(ctx, project, name, v.Version); err != nil {
			return err
		}
	}
	return nil
}
