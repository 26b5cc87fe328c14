// Command data measures versions of many files and of one large file: add, add
// again, status, checkout, push and pull, beside a raw loop over the same files
// and beside DVC where it is installed.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/bench/measure"
)

func main() {
	log.SetFlags(0)
	bin := flag.String("slipway", "bin/slipway", "the program to measure")
	dvc := flag.String("dvc", ".tools/bench/bin/dvc", "DVC; left out when it is not there")
	files := flag.Int("files", 100_000, "files of the folder, 10 KB each")
	large := flag.Int("large", 2048, "MB of the large file")
	flag.Parse()
	b := &bench{}
	var err error
	if b.bin, err = filepath.Abs(*bin); err != nil {
		log.Fatal(err)
	}
	if path, err := filepath.Abs(*dvc); err == nil {
		if _, err := os.Stat(path); err == nil {
			b.dvc = path
		}
	}
	if err := b.run(*files, *large); err != nil {
		log.Fatal(err)
	}
}

// bench is one run in a folder of its own.
type bench struct {
	bin, dvc string
	dir      string
	t        *measure.Table
}

func (b *bench) run(files, large int) (err error) {
	if b.dir, err = os.MkdirTemp("", "bench-data-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.t = measure.NewTable(fmt.Sprintf("data: %d files of 10 KB, and one of %d MB; seconds of wall clock and of CPU", files, large))
	for _, tool := range []string{"slipway", "dvc"} {
		if err := makeFiles(filepath.Join(b.dir, tool, "many"), files); err != nil {
			return err
		}
	}
	if err := b.raw(); err != nil {
		return err
	}
	if err := b.slipway(); err != nil {
		return err
	}
	if b.dvc != "" {
		if err := b.peer(); err != nil {
			return err
		}
	}
	if err := b.one(large); err != nil {
		return err
	}
	b.t.Print(os.Stdout)
	return nil
}

func makeFiles(dir string, n int) error {
	random := rand.NewChaCha8([32]byte{7})
	buffer := make([]byte, 10_000)
	for i := range n {
		folder := filepath.Join(dir, fmt.Sprintf("%03d", i/1000))
		if i%1000 == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return err
			}
		}
		_, _ = random.Read(buffer) // it never fails
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%06d.bin", i)), buffer, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// timed adds what do costs, with the CPU of the processes that it started.
func (b *bench) timed(quantity, contestant string, do func() error) error {
	own, children, begin := measure.Used(), measure.UsedByChildren(), time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %s: %w", contestant, quantity, err)
	}
	b.t.Add(quantity, "s", contestant, time.Since(begin).Seconds())
	b.t.Add(quantity+", CPU", "s", contestant, (measure.Used() - own + measure.UsedByChildren() - children).Seconds())
	return nil
}

// raw reads every file, hashes it, and writes it into one file.
func (b *bench) raw() error {
	return b.timed("add", "raw loop", func() error {
		out, err := os.Create(filepath.Join(b.dir, "raw"))
		if err != nil {
			return err
		}
		defer out.Close()
		err = filepath.WalkDir(filepath.Join(b.dir, "slipway", "many"), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(raw)
			_, err = out.Write(append(raw, sum[:]...))
			return err
		})
		if err != nil {
			return err
		}
		return out.Sync()
	})
}

// command is a program in a tool's folder, with a home and caches of its own.
func (b *bench) command(tool, program string, args ...string) func() error {
	return func() error {
		cmd := exec.Command(program, args...)
		cmd.Dir = filepath.Join(b.dir, tool)
		cmd.Env = append(os.Environ(), "SLIPWAY_WORKSPACE="+filepath.Join(b.dir, "workspace"), "SLIPWAY_SERVER=", "SLIPWAY_REMOTE="+filepath.Join(b.dir, "remote"),
			"XDG_CACHE_HOME="+filepath.Join(b.dir, "cache"), "DVC_NO_ANALYTICS=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, out)
		}
		return nil
	}
}

func (b *bench) slipway() error {
	do := func(quantity string, args ...string) error {
		return b.timed(quantity, "slipway", b.command("slipway", b.bin, append(args, "-q")...))
	}
	for _, step := range []struct {
		quantity string
		args     []string
	}{
		{"add", []string{"data", "add", "many", "--format", "files"}},
		{"add again, nothing new", []string{"data", "add", "many", "--format", "files"}},
		{"checkout, copies", []string{"data", "checkout", "many", "copied"}},
		{"checkout, links, first", []string{"data", "checkout", "many", "linked", "--link"}},
		{"checkout, links", []string{"data", "checkout", "many", "again", "--link"}},
		{"push to a folder", []string{"data", "push", "many"}},
	} {
		if err := do(step.quantity, step.args...); err != nil {
			return err
		}
	}
	return nil
}

// peer is the same in DVC: its checkouts replace the folder.
func (b *bench) peer() error {
	remove := func() error { return os.RemoveAll(filepath.Join(b.dir, "dvc", "many")) }
	quiet := func(args ...string) func() error { return b.command("dvc", b.dvc, args...) }
	for _, step := range []struct {
		quantity string // "" is not timed
		do       func() error
	}{
		{"", quiet("init", "--no-scm", "-q")},
		{"", quiet("remote", "add", "-q", "-d", "folder", filepath.Join(b.dir, "dvc-remote"))},
		{"", quiet("config", "cache.type", "copy")},
		{"add", quiet("add", "-q", "many")},
		{"add again, nothing new", quiet("add", "-q", "many")},
		{"", remove},
		{"checkout, copies", quiet("checkout", "-q")},
		{"", quiet("config", "cache.type", "hardlink")},
		{"", remove},
		{"checkout, links", quiet("checkout", "-q")},
		{"push to a folder", quiet("push", "-q")},
	} {
		if step.quantity == "" {
			if err := step.do(); err != nil {
				return err
			}
		} else if err := b.timed(step.quantity, "dvc", step.do); err != nil {
			return err
		}
	}
	return nil
}

// one adds a large file, then the same with a hundredth more at its end.
func (b *bench) one(mb int) error {
	random := rand.NewChaCha8([32]byte{8})
	write := func(tool string, n int, flags int) error {
		f, err := os.OpenFile(filepath.Join(b.dir, tool, "large.bin"), flags|os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		buffer := make([]byte, 1<<20)
		for range n {
			_, _ = random.Read(buffer) // it never fails
			if _, err := f.Write(buffer); err != nil {
				return err
			}
		}
		return nil
	}
	grow := filepath.Join(b.dir, "workspace", "content", "packs")
	contestants := map[string]func() error{"slipway": b.command("slipway", b.bin, "data", "add", "large.bin", "--format", "files", "-q")}
	if b.dvc != "" {
		contestants["dvc"] = b.command("dvc", b.dvc, "add", "-q", "large.bin")
	}
	for tool, add := range contestants {
		if err := write(tool, mb, os.O_TRUNC); err != nil {
			return err
		}
		if err := b.timed("add one large file", tool, add); err != nil {
			return err
		}
		before := size(grow)
		if err := write(tool, max(1, mb/100), os.O_APPEND); err != nil {
			return err
		}
		if err := b.timed("add it with 1 % more", tool, add); err != nil {
			return err
		}
		if tool == "slipway" {
			b.t.Add("new bytes of that", "% of the file", tool, 100*float64(size(grow)-before)/float64(mb<<20))
		}
	}
	return nil
}

func size(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
