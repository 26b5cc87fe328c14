package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"

	"github.com/slipway-ml/slipway"
)

// line is one line of an exported log: an event, or the checkpoint at its end.
type line struct {
	Event      *slipway.Event `json:"event,omitempty"`
	Checkpoint *Checkpoint    `json:"checkpoint,omitempty"`
}

// Export writes the whole log as JSON lines with a signed checkpoint at its
// end. Who holds the file can check it without a server.
func (s *Service) Export(ctx context.Context, w io.Writer) error {
	end, err := s.Verify(ctx)
	if err != nil {
		return err
	}
	out := json.NewEncoder(w)
	for after := int64(0); after < end.Number; {
		events, err := s.o.DB.Events(ctx, after, 1000)
		if err != nil {
			return err
		}
		for i := range events {
			if events[i].Number > end.Number {
				break
			}
			if err := out.Encode(line{Event: &events[i]}); err != nil {
				return err
			}
			after = events[i].Number
		}
	}
	return out.Encode(line{Checkpoint: &end})
}

// VerifyExport checks an exported log by itself: the chain of hashes and the
// signature at its end. It fails with Refused, naming the first event that is
// missing or was changed. The caller compares Key with one that it trusts.
func VerifyExport(r io.Reader) (Checkpoint, error) {
	var hash [sha256.Size]byte
	var number int64
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<16), 64<<20)
	for lines.Scan() {
		// The event's text is hashed as it stands in the file, so that no
		// reader's way of writing numbers can change the verdict.
		var raw struct {
			Event      json.RawMessage `json:"event"`
			Checkpoint *Checkpoint     `json:"checkpoint"`
		}
		if err := json.Unmarshal(lines.Bytes(), &raw); err != nil {
			return Checkpoint{}, slipway.Errorf(slipway.Invalid, "line %d is not part of an exported log: %v", number+1, err)
		}
		if raw.Checkpoint != nil {
			return checkEnd(*raw.Checkpoint, number, hash)
		}
		var e slipway.Event
		if err := json.Unmarshal(raw.Event, &e); err != nil {
			return Checkpoint{}, slipway.Errorf(slipway.Invalid, "line %d is not an event: %v", number+1, err)
		}
		if number++; e.Number != number {
			return Checkpoint{}, slipway.Errorf(slipway.Refused, "event %d is missing from the log", number)
		}
		hash = sha256.Sum256(bytes.Join([][]byte{hash[:], raw.Event}, nil))
	}
	if err := lines.Err(); err != nil {
		return Checkpoint{}, err
	}
	return Checkpoint{}, slipway.Errorf(slipway.Refused, "the log breaks off after event %d, without a checkpoint", number)
}

func checkEnd(c Checkpoint, number int64, hash [sha256.Size]byte) (Checkpoint, error) {
	switch {
	case c.Number != number:
		return c, slipway.Errorf(slipway.Refused, "the checkpoint stands for %d events, the file holds %d", c.Number, number)
	case c.Hash != hex.EncodeToString(hash[:]):
		return c, slipway.Errorf(slipway.Refused, "an event was changed: the log hashes to %x…, the checkpoint says %.8s…", hash[:4], c.Hash)
	case len(c.Key) != ed25519.PublicKeySize || !ed25519.Verify(c.Key, c.message(), c.Signature):
		return c, slipway.Errorf(slipway.Refused, "the checkpoint's signature is not its key's")
	}
	return c, nil
}
