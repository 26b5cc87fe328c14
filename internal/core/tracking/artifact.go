package tracking

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
)

// Artifact is a file that a run or a logged model keeps, or a folder of them.
type Artifact struct {
	Path   string         `json:"path"` // from the owner's root, with slashes
	Folder bool           `json:"folder,omitempty"`
	Size   int64          `json:"size"` // bytes; of a folder, 0
	Digest slipway.Digest `json:"digest,omitempty"`
	At     time.Time      `json:"at,omitzero"`
}

// Place is where an artifact belongs: a run or a logged model by its id, or ""
// for files that an experiment with a location of its own keeps.
type Place struct {
	Owner string
	Path  string // "" is the root
}

// PutArtifact stores the bytes of r over what was there. It fails with NotFound
// when there is no such owner and Invalid for a path that leaves it.
func (s *Service) PutArtifact(ctx context.Context, at Place, r io.Reader) (Artifact, error) {
	if err := content.CheckPath(at.Path); err != nil {
		return Artifact{}, err
	}
	body, err := s.admit(ctx, at.Owner, r)
	if err != nil {
		return Artifact{}, err
	}
	a, err := s.AddArtifact(ctx, at, body)
	if err == nil {
		s.used.add(body.project, a.Size)
	}
	return a, err
}

// OpenArtifact reads a file. The caller closes it. It fails with NotFound.
func (s *Service) OpenArtifact(ctx context.Context, at Place) (Artifact, content.Reader, error) {
	if err := s.allowOwner(ctx, slipway.Reader, at.Owner); err != nil {
		return Artifact{}, nil, err
	}
	a, err := s.findArtifact(ctx, at)
	if err != nil {
		return a, nil, err
	}
	r, err := s.o.Content.Open(ctx, a.Digest)
	return a, r, err
}

// ListArtifacts lists one folder: its files and the folders in it. A path that
// names a file, or nothing, has none.
func (s *Service) ListArtifacts(ctx context.Context, at Place) ([]Artifact, error) {
	if err := s.allowOwner(ctx, slipway.Reader, at.Owner); err != nil {
		return nil, err
	}
	if at.Path != "" {
		if err := content.CheckPath(at.Path); err != nil {
			return nil, err
		}
	}
	files, err := s.artifactsBelow(ctx, at)
	if err != nil {
		return nil, err
	}
	return folder(files, at.Path), nil
}

// folder is what stands directly in dir, of files sorted by path.
func folder(files []Artifact, dir string) []Artifact {
	prefix := ""
	if dir != "" {
		prefix = dir + "/"
	}
	out := []Artifact{}
	for _, f := range files {
		rest, ok := strings.CutPrefix(f.Path, prefix)
		if !ok {
			continue
		}
		if name, _, deeper := strings.Cut(rest, "/"); deeper {
			f = Artifact{Path: prefix + name, Folder: true}
			if n := len(out); n > 0 && out[n-1].Path == f.Path {
				continue
			}
		}
		out = append(out, f)
	}
	return out
}

// DeleteArtifact removes a file, or a folder with all that is in it. Removing
// what is not there is no error.
func (s *Service) DeleteArtifact(ctx context.Context, at Place) error {
	if err := content.CheckPath(at.Path); err != nil {
		return err
	}
	if err := s.allowOwner(ctx, slipway.Writer, at.Owner); err != nil {
		return err
	}
	return s.removeArtifacts(ctx, at)
}

// treeOf makes a tree of artifacts, with paths from dir on.
func treeOf(files []Artifact, dir string) (content.Tree, error) {
	entries := make([]content.Entry, 0, len(files))
	for _, f := range files {
		path := f.Path
		if dir != "" {
			path = strings.TrimPrefix(path, dir+"/")
		}
		entries = append(entries, content.Entry{Path: path, Digest: f.Digest, Size: f.Size})
	}
	return content.NewTree(entries)
}

func noArtifact(at Place) error {
	return slipway.Errorf(slipway.NotFound, "No such artifact: '%s'", at.Path)
}
