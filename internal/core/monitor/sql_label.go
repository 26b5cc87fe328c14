package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// labelRow is a label as it is kept.
type labelRow struct {
	number  int64
	project string
	subject string
	time    time.Time
	version int64
	value   string
}

type labelKey struct {
	subject string
	time    int64
}

func (l labelRow) key() labelKey { return labelKey{l.subject, l.time.UnixMicro()} }

// insertLabels keeps what is new in rows.
func (s *Service) insertLabels(ctx context.Context, project string, rows []labelRow) (count LabelCount, err error) {
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		count = LabelCount{Received: len(rows)}
		known, err := knownLabels(tx, project, rows)
		if err != nil {
			return err
		}
		var fresh []labelRow
		for _, l := range rows {
			before, there := known[l.key()]
			switch {
			case there && before.value == l.value:
				count.Unchanged++
				continue
			case there:
				count.Corrected++
				l.version = before.version + 1
			default:
				count.New++
				l.version = 1
			}
			known[l.key()] = l
			fresh = append(fresh, l)
		}
		if len(fresh) == 0 {
			return nil
		}
		return addLabels(tx, project, fresh, count)
	})
	return count, err
}

// knownLabels finds the newest version of what is kept of the rows' subjects.
func knownLabels(tx *db.Tx, project string, rows []labelRow) (map[labelKey]labelRow, error) {
	out := map[labelKey]labelRow{}
	for part := range slices.Chunk(rows, 500) {
		args := []any{project}
		for _, l := range part {
			args = append(args, l.subject)
		}
		found, err := db.All(tx, func(r db.Scanner) (l labelRow, err error) {
			return l, r.Scan(&l.subject, &l.time, &l.version, &l.value)
		}, `SELECT subject, time, version, value FROM label WHERE project = ? AND subject IN `+places(len(part))+` ORDER BY version`, args...)
		if err != nil {
			return nil, err
		}
		for _, l := range found {
			out[l.key()] = l
		}
	}
	return out, nil
}

func addLabels(tx *db.Tx, project string, fresh []labelRow, count LabelCount) error {
	var last int64
	if err := tx.QueryRow(`SELECT COALESCE(MAX(number), 0) FROM label`).Scan(&last); err != nil {
		return err
	}
	err := tx.InsertRows("label", []string{"project", "subject", "time", "version", "value", "received"}, len(fresh), func(i int) []any {
		l := &fresh[i]
		return []any{project, l.subject, l.time, l.version, l.value, tx.Now()}
	})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO label_pending (number) SELECT number FROM label WHERE number > ?`, last); err != nil {
		return err
	}
	data, err := json.Marshal(count)
	if err != nil {
		return err
	}
	return tx.Record(slipway.Event{Project: project, Verb: "label.ingested", Data: data,
		Subject: slipway.NewRef("label", fmt.Sprintf("after-%d", last))})
}

// joinLimit bounds the labels that one transaction joins.
const joinLimit = 20_000

// joinLabels joins the labels that came to their predictions. It reports
// whether there are more.
func (s *Service) joinLabels(ctx context.Context) (more bool, err error) {
	var dirty []partKey
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		dirty = nil
		all, err := db.All(tx, func(r db.Scanner) (l labelRow, err error) {
			return l, r.Scan(&l.number, &l.project, &l.subject, &l.time, &l.value)
		}, `SELECT number, project, subject, time, value FROM label
			WHERE number IN (SELECT number FROM label_pending ORDER BY number LIMIT ?) ORDER BY number`, joinLimit)
		if err != nil || len(all) == 0 {
			more = false
			return err
		}
		more = len(all) == joinLimit
		j := joiner{tx: tx, endpoints: map[place]int64{}, seen: map[partKey]bool{}}
		for _, l := range all {
			if err := j.join(l); err != nil {
				return err
			}
		}
		dirty = j.dirty
		if err := markDirty(tx, j.dirty); err != nil {
			return err
		}
		_, err = tx.Exec(`DELETE FROM label_pending WHERE number <= ?`, all[len(all)-1].number)
		return err
	})
	for _, k := range dirty {
		s.scored.drop(k.endpoint, k.day)
	}
	return more, err
}

// joiner joins labels within a transaction.
type joiner struct {
	tx        *db.Tx
	endpoints map[place]int64
	seen      map[partKey]bool
	dirty     []partKey
}

func (j *joiner) join(l labelRow) error {
	const columns = `SELECT p.endpoint, p.day, p.id, p.label_time, p.label_number FROM prediction p `
	var row db.Row
	if id, byID := strings.CutPrefix(l.subject, "#"); byID {
		row = j.tx.QueryRow(columns+`JOIN monitor_endpoint e ON e.number = p.endpoint WHERE p.id = ? AND e.project = ?`, id, l.project)
	} else {
		name, key, _ := strings.Cut(l.subject, "/")
		number, err := j.endpoint(place{l.project, name})
		if err != nil {
			return err
		}
		row = j.tx.QueryRow(columns+`WHERE p.endpoint = ? AND p.key = ? AND p.time <= ? ORDER BY p.time DESC LIMIT 1`, number, key, l.time)
	}
	var k partKey
	var id string
	var labelTime time.Time
	var labelNumber int64
	err := row.Scan(&k.endpoint, &k.day, &id, &labelTime, &labelNumber)
	if slipway.IsCode(err, slipway.NotFound) {
		_, err = j.tx.Exec(`INSERT INTO label_waiting (project, subject, number) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, l.project, l.subject, l.number)
		return err
	}
	if err != nil {
		return err
	}
	if labelNumber != 0 && (l.time.Before(labelTime) || l.time.Equal(labelTime) && l.number <= labelNumber) {
		return nil // an older truth than the one that is known
	}
	if !j.seen[k] {
		j.seen[k] = true
		j.dirty = append(j.dirty, k)
	}
	_, err = j.tx.Exec(`UPDATE prediction SET label = ?, label_time = ?, label_number = ? WHERE endpoint = ? AND day = ? AND id = ?`,
		l.value, l.time, l.number, k.endpoint, k.day, id)
	return err
}

// endpoint is the number of an endpoint, 0 when nothing of it was logged.
func (j *joiner) endpoint(p place) (n int64, err error) {
	n, known := j.endpoints[p]
	if known {
		return n, nil
	}
	err = j.tx.QueryRow(`SELECT number FROM monitor_endpoint WHERE project = ? AND name = ?`, p.project, p.endpoint).Scan(&n)
	if slipway.IsCode(err, slipway.NotFound) {
		err = nil
	}
	j.endpoints[p] = n
	return n, err
}

// labelled is a label as a day's statement reads it.
type labelled struct {
	value string
	time  time.Time
}

// labelsOf is the labels of a day's predictions, by id.
func (s *Service) labelsOf(ctx context.Context, endpoint int64, start time.Time) (map[string]labelled, error) {
	out := map[string]labelled{}
	err := s.o.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT id, label, label_time FROM prediction WHERE endpoint = ? AND day = ? AND label_number <> 0`, endpoint, start)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var l labelled
			if err := rows.Scan(&id, &l.value, &l.time); err != nil {
				return err
			}
			out[id] = l
		}
		return rows.Err()
	})
	return out, err
}
