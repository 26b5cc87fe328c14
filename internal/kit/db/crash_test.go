package db_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	slipway "github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

// crashDSN tells the test binary to be the process that is killed.
const crashDSN = "SLIPWAY_DB_CRASH_TEST"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(crashDSN); dsn != "" {
		if err := writeUntilKilled(dsn); err != nil {
			fmt.Println("error:", err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled writes from several goroutines and prints each name only
// after its write is acknowledged.
func writeUntilKilled(dsn string) error {
	d, err := open(dsn, shelf...)
	if err != nil {
		return err
	}
	fail := make(chan error)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				err := d.Write(context.Background(), func(tx *db.Tx) error {
					if err := insertShelf(name)(tx); err != nil {
						return err
					}
					return tx.Record(slipway.Event{Verb: "shelf.made", Subject: slipway.NewRef(slipway.KindRun, name)})
				})
				if err != nil {
					fail <- err
				}
				fmt.Println(name)
			}
		}()
	}
	return <-fail
}

// A process is killed with no warning, several times. Whatever it was told is
// written is there, with its event, and the log still verifies.
func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		acknowledged := map[string]bool{}
		for range 3 {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), crashDSN+"="+dsn)
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for n := 0; lines.Scan(); n++ {
				if strings.HasPrefix(lines.Text(), "error:") {
					t.Fatal(lines.Text())
				}
				acknowledged[lines.Text()] = true
				if n == 200 {
					if err := child.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
			_ = child.Wait() // it was killed
		}
		d := dbtest.Open(t, dsn, db.Options{Migrations: shelf})
		for name := range acknowledged {
			if n := count(t, d, "SELECT count(*) FROM shelf JOIN event ON event.subject = 'run:' || shelf.name WHERE name = ?", name); n != 1 {
				t.Errorf("%s was acknowledged and is lost", name)
			}
		}
		head, err := d.VerifyEvents(t.Context())
		if n := count(t, d, "SELECT count(*) FROM shelf"); err != nil || int64(n) != head.Number || n < 600 {
			t.Errorf("%d shelves, the log ends at %+v, %v", n, head, err)
		}
	})
}
