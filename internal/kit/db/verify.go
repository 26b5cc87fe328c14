package db

import (
	"bytes"
	"context"
	"encoding/hex"

	slipway "github.com/slipway-ml/slipway"
)

// Head is the end of the sealed log: who keeps one can later tell that the log
// up to it is unchanged.
type Head struct {
	Number int64  `json:"number"` // of the last sealed event; 0 when there is none
	Hash   string `json:"hash"`   // its hash in hexadecimal
}

// verifyPage is how many events one transaction checks.
const verifyPage = 1000

// sealed is an event with the hash that it was sealed with.
type sealed struct {
	event slipway.Event
	hash  []byte
}

func scanSealed(s Scanner) (sealed, error) {
	var x sealed
	err := s.Scan(append(eventDst(&x.event), &x.hash)...)
	return x, err
}

// VerifyEvents recomputes the hash chain of the whole log and returns its end.
// It fails with Refused, naming the first event that is missing or was
// changed. That events were cut off the end shows only against a Head kept
// elsewhere.
func (d *DB) VerifyEvents(ctx context.Context) (Head, error) {
	if err := d.engine.seal(ctx); err != nil {
		return Head{}, err
	}
	var h head
	for {
		var page []sealed
		err := d.Read(ctx, func(tx *Tx) (err error) {
			page, err = All(tx, scanSealed, "SELECT "+eventColumns+", hash FROM event WHERE number > ? ORDER BY number LIMIT ?", h.number, verifyPage)
			return err
		})
		if err != nil {
			return Head{}, err
		}
		for i := range page {
			if err := h.verify(page[i]); err != nil {
				return Head{}, err
			}
		}
		if len(page) < verifyPage {
			return Head{Number: h.number, Hash: hex.EncodeToString(h.hash[:])}, nil
		}
	}
}

// verify moves the head over one stored event.
func (h *head) verify(x sealed) error {
	if want := h.number + 1; x.event.Number != want {
		return slipway.Errorf(slipway.Refused, "event %d is missing from the log", want)
	}
	if err := h.append(&x.event); err != nil {
		return err
	}
	if !bytes.Equal(h.hash[:], x.hash) {
		return slipway.Errorf(slipway.Refused, "event %d was changed after it was sealed", x.event.Number)
	}
	return nil
}
