// Command start measures how long a server takes to its first reply on /health,
// and what it holds when nothing happens, against `mlflow server`.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-ml/slipway/bench/measure"
)

func main() {
	log.SetFlags(0)
	bin := flag.String("slipway", "bin/slipway", "the program to measure")
	rounds := flag.Int("rounds", 7, "starts of slipway")
	peers := flag.Int("peers", 2, "starts of each form of mlflow, which take long")
	flag.Parse()
	if err := run(*bin, *rounds, *peers); err != nil {
		log.Fatal(err)
	}
}

func run(bin string, rounds, peers int) error {
	dir, err := os.MkdirTemp("", "bench-start-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	python, ok := measure.Peer(os.Stdout, "mlflow")
	if !ok {
		peers = 0
	}
	t := measure.NewTable("start: to the first 200 on /health, and memory after 2 s of nothing")
	t.Want("start", "<= 50 ms")
	t.Want("start on an empty folder", "")
	t.Want("idle RSS", "<= 40 MiB")
	for i := range max(rounds, peers) {
		if i < rounds {
			if err := slipway(t, bin, filepath.Join(dir, fmt.Sprint("slipway", i))); err != nil {
				return err
			}
		}
		if i < peers {
			for name, more := range map[string][]string{"mlflow, 1 worker": {"--workers", "1"}, "mlflow, as it comes": nil} {
				if err := mlflow(t, python, name, filepath.Join(dir, fmt.Sprint("mlflow", i, len(more))), more); err != nil {
					fmt.Println("skipped:", name, err)
				}
			}
		}
	}
	t.Print(os.Stdout)
	return nil
}

// slipway starts twice: on an empty folder, where the schema has to be made,
// and again.
func slipway(t *measure.Table, bin, workspace string) error {
	for _, quantity := range []string{"start on an empty folder", "start"} {
		env, api, _, err := measure.Slipway(workspace)
		if err != nil {
			return err
		}
		s, err := measure.Start("http://"+api+"/health", ".", env, bin, "up")
		if err != nil {
			return err
		}
		idle(t, s, quantity, "slipway")
	}
	return nil
}

func mlflow(t *measure.Table, python, name, dir string, more []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	python, err := filepath.Abs(python)
	if err != nil {
		return err
	}
	for _, quantity := range []string{"start on an empty folder", "start"} {
		port, err := measure.FreePort()
		if err != nil {
			return err
		}
		args := append([]string{python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", fmt.Sprint(port),
			"--backend-store-uri", "sqlite:///" + filepath.Join(dir, "m.db"), "--artifacts-destination", filepath.Join(dir, "artifacts")}, more...)
		s, err := measure.Start(fmt.Sprintf("http://127.0.0.1:%d/health", port), dir, nil, args...)
		if err != nil {
			return err
		}
		idle(t, s, quantity, name)
	}
	return nil
}

// idle records a start, waits, and records memory and the processor time that
// doing nothing costs.
func idle(t *measure.Table, s *measure.Server, quantity, name string) {
	defer s.Stop()
	t.Add(quantity, "ms", name, s.Ready.Seconds()*1e3)
	time.Sleep(2 * time.Second)
	t.Add("CPU of the start", "ms", name, s.CPU().Seconds()*1e3)
	rss, pss, anon := s.Memory()
	t.Add("idle RSS", "MiB", name, rss)
	t.Add("idle PSS", "MiB", name, pss)
	t.Add("of it anonymous", "MiB", name, anon)
}
