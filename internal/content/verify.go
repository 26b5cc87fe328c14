package content

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-ml/slipway"
)

// Report is what Verify found.
type Report struct {
	Packs   int      `json:"packs"`
	Objects int      `json:"objects"` // records and whole files
	Bytes   int64    `json:"bytes"`   // read and checked
	Damage  []Damage `json:"damage,omitempty"`
	// Spare is damage that costs nothing: what it hit has been written again, or
	// is made from packs whenever it is wanted.
	Spare []Damage `json:"spare,omitempty"`
}

// Damage is one thing that is not as it was written.
type Damage struct {
	Where  string         `json:"where"`            // file in the store
	Digest slipway.Digest `json:"digest,omitempty"` // of the content, if it is known
	What   string         `json:"what"`
}

// Verify reads everything on this disk and checks it: each record and whole
// file against its digest, each index against its pack, and cut content against
// its digest when put together. What it finds is in the report; it fails only
// if it cannot go on. What is damaged is noted, so that it can be repaired (see
// Suspect), and a damaged file of the cache is removed; nothing else is changed.
func (s *Store) Verify(ctx context.Context) (Report, error) {
	var report Report
	if err := s.refresh(ctx); err != nil {
		return report, err
	}
	s.mu.RLock()
	packs := append([]*pack(nil), s.order...)
	s.mu.RUnlock()
	for _, p := range packs {
		recipes, err := s.verifyPack(ctx, p, &report)
		if err != nil {
			return report, err
		}
		for _, loc := range recipes {
			if err := s.verifyRecipe(ctx, loc, &report); err != nil {
				return report, err
			}
		}
	}
	for _, dir := range []string{"whole", "files"} {
		if err := s.verifyWhole(ctx, dir, &report); err != nil {
			return report, diskError("verify content", err)
		}
	}
	return report, s.spare(ctx, &report)
}

// spare tells damage that matters from damage to what has another copy, and
// notes the former.
func (s *Store) spare(ctx context.Context, report *Report) error {
	found := report.Damage
	report.Damage = nil
	for _, d := range found {
		k, err := parseKey(d.Digest)
		if err != nil { // it has no name
			report.Damage = append(report.Damage, d)
			continue
		}
		s.suspect(k)
		if s.sound(ctx, d.Digest, k) {
			report.Spare = append(report.Spare, d)
		} else {
			report.Damage = append(report.Damage, d)
		}
	}
	return ctx.Err()
}

func (r *Report) found(where string, d slipway.Digest, err error) {
	r.Damage = append(r.Damage, Damage{Where: where, Digest: d, What: err.Error()})
}

// verifyPack checks the records of a pack and returns its recipes.
func (s *Store) verifyPack(ctx context.Context, p *pack, report *Report) ([]place, error) {
	where := filepath.Join("packs", filepath.Base(p.path))
	f, err := p.reader()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // collected meanwhile
	}
	if err != nil {
		return nil, diskError("verify content", err)
	}
	s.mu.RLock()
	end, known := p.scanned, p.entries()
	if p.idx != nil {
		if err := p.idx.checkBody(); err != nil {
			report.found(filepath.Base(s.indexPath(p.id)), "", err)
		}
	}
	s.mu.RUnlock()
	report.Packs++
	found, err := scanRecords(f, p.mark, packHeaderSize, end)
	if err != nil {
		report.found(where, "", err)
		return nil, ctx.Err()
	}
	if found.damaged > 0 || found.end < end {
		report.found(where, "", fmt.Errorf("bytes between records: %w", errDamaged))
	}
	named := map[key]bool{}
	for _, e := range found.spoilt {
		if e.end() <= end {
			named[e.digest] = true
			report.found(where, e.digest.digest(), fmt.Errorf("content at %d: %w", e.offset, errDamaged))
		}
	}
	at := map[key]entry{}
	var recipes []place
	for _, e := range found.entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		at[e.digest] = e
		b, err := p.readAt(ctx, e.offset, e.end()-e.offset)
		if err == nil {
			_, err = checkRecord(b, p.mark, e)
		}
		if err != nil {
			report.found(where, e.digest.digest(), err)
			continue
		}
		report.Objects++
		report.Bytes += int64(len(b))
		if e.kind.recipe() {
			recipes = append(recipes, place{e, p})
		}
	}
	for _, e := range known {
		if got, ok := at[e.digest]; !named[e.digest] && !ok || ok && got.kind != e.kind {
			report.found(where, e.digest.digest(), fmt.Errorf("the index names a record that is not there: %w", errDamaged))
		}
	}
	return recipes, nil
}

// verifyRecipe puts cut content together and hashes it.
func (s *Store) verifyRecipe(ctx context.Context, loc place, report *Report) error {
	sum := sha256.New()
	err := s.copyTo(ctx, loc, sum)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && key(sum.Sum(nil)) != loc.digest {
		err = fmt.Errorf("the chunks are not the content: %w", errDamaged)
	}
	if err != nil {
		report.found(filepath.Join("packs", filepath.Base(loc.pack.path)), loc.digest.digest(), err)
	}
	return nil
}

func (s *Store) verifyWhole(ctx context.Context, dir string, report *Report) error {
	return eachWhole(filepath.Join(s.dir, dir), func(d slipway.Digest, path string, info fs.FileInfo) error {
		r, err := openWhole(path, d)
		if slipway.IsCode(err, slipway.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		defer r.Close()
		sum := sha256.New()
		n, err := io.Copy(sum, withContext(ctx, r))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && key(sum.Sum(nil)).digest() != d {
			err = errDamaged
			if dir == "files" {
				err = errors.Join(err, os.Remove(path))
			}
		}
		if err != nil {
			report.found(filepath.Join(dir, string(d[:2]), string(d)), d, err)
			return nil
		}
		report.Objects++
		report.Bytes += n
		return nil
	})
}
