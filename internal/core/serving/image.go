package serving

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-ml/slipway"
)

// imageTime is the time of everything in an image: the same content gives the
// same image.
var imageTime = time.Unix(0, 0).UTC()

// WriteImage makes a container image of an exported folder and of binary, which
// is slipway: no daemon and no base image is asked. The libraries that binary
// is linked with come from this machine, so the image is for its architecture.
// to is a .tar file that docker and podman load, or a folder in OCI layout; tag
// is the image's name. It fails with Conflict when something is at to.
func WriteImage(to, tag, folder, binary string) error {
	if _, err := os.Stat(to); err == nil {
		return slipway.Errorf(slipway.Conflict, "%s exists already", to)
	}
	ref, err := name.NewTag(tag)
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "%q is no name of an image: %v", tag, err)
	}
	img, err := buildImage(folder, binary)
	if err != nil {
		return err
	}
	if strings.HasSuffix(to, ".tar") {
		err = tarball.WriteToFile(to+".new", ref, img)
		if err == nil {
			err = os.Rename(to+".new", to)
		}
	} else {
		var l layout.Path
		if l, err = layout.Write(to, empty.Index); err == nil {
			err = l.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": ref.Name()}))
		}
	}
	if err != nil {
		return slipway.Errorf(slipway.Unavailable, "the image cannot be written: %v", err)
	}
	return nil
}

func buildImage(folder, binary string) (v1.Image, error) {
	system, err := systemFiles(binary)
	if err != nil {
		return nil, err
	}
	model, err := folderFiles(folder, "model")
	if err != nil {
		return nil, err
	}
	img := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	for _, files := range []map[string]string{system, model} {
		layer, err := layerOf(files)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	return mutate.ConfigFile(img, configured(img))
}

// configured is the image's configuration: it answers on all addresses of its
// container, and so wants a token.
func configured(img v1.Image) *v1.ConfigFile {
	c, err := img.ConfigFile()
	if err != nil {
		c = &v1.ConfigFile{}
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Created = "linux", runtime.GOARCH, v1.Time{Time: imageTime}
	c.Config = v1.Config{
		Entrypoint: []string{"/usr/bin/slipway"}, WorkingDir: "/", Volumes: map[string]struct{}{"/model/log": {}},
		Cmd: []string{"gateway", "/model", "--listen", "0.0.0.0:8080", "--grpc", "0.0.0.0:8081"},
		Env: []string{"PATH=/usr/bin", "HOME=/tmp"}, ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8081/tcp": {}},
	}
	return c
}

// systemFiles maps paths in the image to files here: the binary, the loader of
// the system, and the libraries that it needs, and that those need.
func systemFiles(binary string) (map[string]string, error) {
	out := map[string]string{"usr/bin/slipway": binary}
	todo := []string{binary}
	for len(todo) > 0 {
		f, err := elf.Open(todo[0])
		if err != nil {
			return nil, slipway.Errorf(slipway.Invalid, "%s is no program for Linux: %v", todo[0], err)
		}
		needed, err := f.ImportedLibraries()
		interpreter := interpreterOf(f)
		_ = f.Close()
		if err != nil {
			return nil, slipway.Errorf(slipway.Invalid, "%s is damaged: %v", todo[0], err)
		}
		todo = todo[1:]
		if interpreter != "" {
			real, err := filepath.EvalSymlinks(interpreter)
			if err != nil {
				return nil, slipway.Errorf(slipway.Unavailable, "the loader %s is not on this machine", interpreter)
			}
			out[strings.TrimPrefix(interpreter, "/")] = real
		}
		for _, lib := range needed {
			at := "usr/lib/" + lib
			if _, have := out[at]; have || strings.HasPrefix(lib, "ld-linux") {
				continue
			}
			found, err := findLibrary(lib)
			if err != nil {
				return nil, err
			}
			out[at] = found
			todo = append(todo, found)
		}
	}
	return out, nil
}

func interpreterOf(f *elf.File) string {
	s := f.Section(".interp")
	if s == nil {
		return ""
	}
	raw, err := s.Data()
	if err != nil {
		return ""
	}
	return string(bytes.TrimRight(raw, "\x00"))
}

// libraryDirs are where systems keep the libraries of this architecture.
func libraryDirs() []string {
	triplet := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	return []string{"/lib/" + triplet, "/usr/lib/" + triplet, "/lib64", "/usr/lib64", "/lib", "/usr/lib"}
}

func findLibrary(lib string) (string, error) {
	for _, dir := range libraryDirs() {
		if real, err := filepath.EvalSymlinks(filepath.Join(dir, lib)); err == nil {
			return real, nil
		}
	}
	return "", slipway.Errorf(slipway.Unavailable, "the library %s, which slipway is linked with, is not where libraries are", lib)
}

// folderFiles maps the paths that a folder has in the image to its files.
func folderFiles(folder, at string) (map[string]string, error) {
	out := map[string]string{}
	err := filepath.WalkDir(folder, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(folder, p)
		out[path.Join(at, filepath.ToSlash(rel))] = p
		return err
	})
	return out, err
}

// layerOf is a layer of files, in the order of their paths.
func layerOf(files map[string]string) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{}
	paths := make([]string, 0, len(files))
	for p := range files {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		if err := addFolders(w, path.Dir(p), made); err != nil {
			return nil, err
		}
		if err := addFile(w, p, files[p]); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
}

func addFolders(w *tar.Writer, dir string, made map[string]bool) error {
	if dir == "." || made[dir] {
		return nil
	}
	if err := addFolders(w, path.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	return w.WriteHeader(&tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: imageTime})
}

func addFile(w *tar.Writer, name, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: info.Size(), ModTime: imageTime}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}
