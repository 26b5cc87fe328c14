package serving

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// The inbox holds the segments that gateways in other processes sent, a folder
// each, until somebody has taken them in.

// maxSegment bounds what a gateway may send at once, in bytes: a segment is
// sealed at 64 MiB, and one more request may be in it.
const maxSegment = 256 << 20

// gatewayName is what a gateway may be called: it names a folder.
var gatewayName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (s *Service) inbox(gateway string) string { return filepath.Join(s.o.Dir, "inbox", gateway) }

func segmentFileName(n int64) string { return fmt.Sprintf("%012d.log", n) }

// Receive keeps a segment of another gateway's log; it is on disk when Receive
// returns. Receiving one again changes nothing. It fails with Invalid when the
// bytes are not that segment, whole.
func (s *Service) Receive(ctx context.Context, gateway string, number int64, body io.Reader) error {
	if !gatewayName.MatchString(gateway) || gateway == s.o.Gateway || number < 1 {
		return slipway.Errorf(slipway.Invalid, "%q, %d is no segment of another gateway", gateway, number)
	}
	dir := s.inbox(gateway)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return slipway.Errorf(slipway.Unavailable, "the segment cannot be kept: %v", err)
	}
	path := filepath.Join(dir, segmentFileName(number))
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return slipway.Errorf(slipway.Unavailable, "the segment cannot be kept: %v", err)
	}
	defer os.Remove(f.Name())
	n, err := io.Copy(f, io.LimitReader(body, maxSegment+1))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return slipway.Errorf(slipway.Unavailable, "the segment cannot be kept: %v", err)
	}
	if n > maxSegment {
		return slipway.Errorf(slipway.Invalid, "the segment has more than %d bytes", maxSegment)
	}
	if err := checkSegment(f.Name(), gateway, number); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return slipway.Errorf(slipway.Unavailable, "the segment cannot be kept: %v", err)
	}
	return errors.Join(syncFolder(dir), ctx.Err())
}

// checkSegment reads a segment to its end, so that nobody stumbles over it later.
func checkSegment(path, gateway string, number int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	start := make([]byte, len(magic)+8)
	var head segmentHead
	if _, err = io.ReadFull(f, start); err == nil {
		raw := make([]byte, min(binary.LittleEndian.Uint32(start[len(magic):]), 1<<16))
		if _, err = io.ReadFull(f, raw); err == nil {
			err = json.Unmarshal(raw, &head)
		}
	}
	if err != nil || head.Gateway != gateway || head.Number != number {
		return slipway.Errorf(slipway.Invalid, "the bytes are not segment %d of the gateway %s", number, gateway)
	}
	for _, err := range (Segment{Gateway: gateway, Number: number, path: path}).Batches() {
		if err != nil {
			return slipway.Errorf(slipway.Invalid, "segment %d of the gateway %s is damaged", number, gateway)
		}
	}
	return nil
}

// Received lists the segments of other gateways that are not taken in yet:
// those above ingested[gateway], in order. What is below goes.
func (s *Service) Received(ctx context.Context, ingested map[string]int64) iter.Seq2[Segment, error] {
	return func(yield func(Segment, error) bool) {
		folders, err := os.ReadDir(filepath.Join(s.o.Dir, "inbox"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(Segment{}, slipway.Errorf(slipway.Unavailable, "the inbox cannot be read: %v", err))
			return
		}
		for _, folder := range folders {
			gateway := folder.Name()
			if err := s.drop(gateway, ingested[gateway]); err != nil {
				yield(Segment{}, err)
				return
			}
			list, err := s.listInbox(gateway)
			if err != nil {
				yield(Segment{}, err)
				return
			}
			for _, g := range list {
				if ctx.Err() != nil {
					yield(Segment{}, ctx.Err())
					return
				}
				if !yield(g, nil) {
					return
				}
			}
		}
	}
}

func (s *Service) listInbox(gateway string) (out []Segment, err error) {
	entries, err := os.ReadDir(s.inbox(gateway))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), ".log")
		n, err := strconv.ParseInt(base, 10, 64)
		if !ok || err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		out = append(out, Segment{Gateway: gateway, Number: n, Bytes: info.Size(), path: filepath.Join(s.inbox(gateway), e.Name())})
	}
	slices.SortFunc(out, func(a, b Segment) int { return int(a.Number - b.Number) })
	return out, nil
}

// drop removes a gateway's received segments up to a number.
func (s *Service) drop(gateway string, through int64) error {
	list, err := s.listInbox(gateway)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, g := range list {
		if g.Number <= through {
			err = errors.Join(err, os.Remove(g.path))
		}
	}
	return err
}
