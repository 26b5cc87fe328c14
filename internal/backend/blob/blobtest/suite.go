// Package blobtest is the contract of blob.Bucket as tests: a new variant
// passes Run before anything stands on it.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
)

// Run puts a variant through the contract. open returns an empty bucket each
// time it is called.
func Run(t *testing.T, open func(t *testing.T) blob.Bucket) {
	for name, test := range map[string]func(*testing.T, blob.Bucket){
		"what is put can be got":               testRoundTrip,
		"put replaces":                         testReplace,
		"create refuses what exists":           testCreate,
		"one of many creators wins":            testCreateRace,
		"ranges":                               testRanges,
		"what is not there":                    testMissing,
		"delete may be repeated":               testDelete,
		"list is sorted and keeps to a prefix": testList,
		"list can be stopped":                  testListStop,
		"a failed put changes nothing":         testFailedPut,
		"keys that no bucket takes":            testKeys,
		"a context that has ended":             testContext,
		"readers do not see half an object":    testWholeObjects,
		"a large object":                       testLarge,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func put(t *testing.T, b blob.Bucket, key, data string) {
	t.Helper()
	if err := b.Put(t.Context(), key, strings.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, b blob.Bucket, key string, offset, n int64) string {
	t.Helper()
	r, err := b.Get(t.Context(), key, offset, n)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func wantCode(t *testing.T, err error, code slipway.Code) {
	t.Helper()
	if !slipway.IsCode(err, code) {
		t.Fatalf("the error is %v, want the code %s", err, code)
	}
}

func testRoundTrip(t *testing.T, b blob.Bucket) {
	for _, key := range []string{"a", "deep/er/key.txt", "späße/日本", "with space+%&=?#~!()'*", "-_.x"} {
		for _, data := range []string{"", "x", strings.Repeat("slipway ", 10_000)} {
			put(t, b, key, data)
			if got := read(t, b, key, 0, -1); got != data {
				t.Errorf("%q: got %d bytes, want %d", key, len(got), len(data))
			}
			info, err := b.Head(t.Context(), key)
			if err != nil || info.Key != key || info.Size != int64(len(data)) || info.Modified.IsZero() {
				t.Errorf("Head(%q) = %+v, %v", key, info, err)
			}
		}
	}
}

func testReplace(t *testing.T, b blob.Bucket) {
	put(t, b, "k", "a long first value")
	put(t, b, "k", "second")
	if got := read(t, b, "k", 0, -1); got != "second" {
		t.Errorf("got %q", got)
	}
}

func testCreate(t *testing.T, b blob.Bucket) {
	if err := b.Create(t.Context(), "k", strings.NewReader("first"), 5); err != nil {
		t.Fatal(err)
	}
	wantCode(t, b.Create(t.Context(), "k", strings.NewReader("other"), 5), slipway.Conflict)
	if got := read(t, b, "k", 0, -1); got != "first" {
		t.Errorf("got %q", got)
	}
	if err := b.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(t.Context(), "k", strings.NewReader("again"), 5); err != nil {
		t.Errorf("after Delete: %v", err)
	}
}

func testCreateRace(t *testing.T, b blob.Bucket) {
	var won atomic.Int32
	var winner atomic.Value
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			data := fmt.Sprintf("writer %d", i)
			err := b.Create(t.Context(), "prize", strings.NewReader(data), int64(len(data)))
			if err == nil {
				won.Add(1)
				winner.Store(data)
			} else if !slipway.IsCode(err, slipway.Conflict) {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	work.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d creators won", won.Load())
	}
	if got := read(t, b, "prize", 0, -1); got != winner.Load() {
		t.Errorf("%q won, the object holds %q", winner.Load(), got)
	}
}

func testRanges(t *testing.T, b blob.Bucket) {
	put(t, b, "digits", "0123456789")
	put(t, b, "empty", "")
	for _, c := range []struct {
		key       string
		offset, n int64
		want      string
	}{
		{"digits", 0, -1, "0123456789"}, {"digits", 0, 3, "012"}, {"digits", 4, 3, "456"},
		{"digits", 7, -1, "789"}, {"digits", 7, 100, "789"}, {"digits", 9, 1, "9"},
		{"digits", 10, 1, ""}, {"digits", 10, -1, ""}, {"digits", 99, 5, ""},
		{"digits", 3, 0, ""}, {"empty", 0, -1, ""}, {"empty", 0, 5, ""},
	} {
		if got := read(t, b, c.key, c.offset, c.n); got != c.want {
			t.Errorf("Get(%q, %d, %d) = %q, want %q", c.key, c.offset, c.n, got, c.want)
		}
	}
	_, err := b.Get(t.Context(), "digits", -1, 2)
	wantCode(t, err, slipway.Invalid)
}

func testMissing(t *testing.T, b blob.Bucket) {
	put(t, b, "folder/file", "x")
	for _, key := range []string{"nothing", "folder", "folder/file/below", "folder/other"} {
		_, err := b.Head(t.Context(), key)
		wantCode(t, err, slipway.NotFound)
		for _, n := range []int64{-1, 0, 1} {
			_, err = b.Get(t.Context(), key, 0, n)
			wantCode(t, err, slipway.NotFound)
		}
	}
}

func testDelete(t *testing.T, b blob.Bucket) {
	put(t, b, "a/b", "x")
	for range 2 {
		if err := b.Delete(t.Context(), "a/b"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := b.Head(t.Context(), "a/b")
	wantCode(t, err, slipway.NotFound)
	for info := range b.List(t.Context(), "") {
		t.Errorf("%q is still listed", info.Key)
	}
}

func list(t *testing.T, b blob.Bucket, prefix string) (keys []string) {
	t.Helper()
	for info, err := range b.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func testList(t *testing.T, b blob.Bucket) {
	if got := list(t, b, ""); got != nil {
		t.Errorf("an empty bucket lists %q", got)
	}
	// "a.b" sorts before "a/c", "a0" after: a directory walk would differ.
	all := []string{"a.b", "a/c", "a/d/e", "a0", "b/1", "b/10", "b/2", "ünder"}
	for _, i := range []int{3, 7, 0, 5, 2, 6, 1, 4} {
		put(t, b, all[i], strings.Repeat("x", i))
	}
	for prefix, want := range map[string][]string{
		"": all, "a": {"a.b", "a/c", "a/d/e", "a0"}, "a/": {"a/c", "a/d/e"}, "a/d": {"a/d/e"},
		"b/1": {"b/1", "b/10"}, "b/10": {"b/10"}, "none": nil, "a/c/": nil, "../": nil,
	} {
		if diff := cmp.Diff(want, list(t, b, prefix)); diff != "" {
			t.Errorf("List(%q):\n%s", prefix, diff)
		}
	}
	for info := range b.List(t.Context(), "b/2") {
		if info.Size != 6 || info.Modified.IsZero() {
			t.Errorf("List gives %+v", info)
		}
	}
}

func testListStop(t *testing.T, b blob.Bucket) {
	for i := range 5 {
		put(t, b, fmt.Sprintf("d/%d", i), "")
	}
	seen := 0
	for _, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 2 {
			break
		}
	}
	if seen != 2 {
		t.Errorf("saw %d", seen)
	}
}

func testFailedPut(t *testing.T, b blob.Bucket) {
	put(t, b, "k", "before")
	broken := errors.New("the source broke")
	source := func() io.Reader {
		return io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
	}
	if err := b.Put(t.Context(), "k", source(), 8); err == nil {
		t.Error("a broken source was accepted")
	}
	wantCode(t, b.Put(t.Context(), "k", strings.NewReader("short"), 6), slipway.Invalid)
	wantCode(t, b.Put(t.Context(), "k", strings.NewReader("longer"), 5), slipway.Invalid)
	wantCode(t, b.Put(t.Context(), "k", strings.NewReader("more"), 0), slipway.Invalid)
	if got := read(t, b, "k", 0, -1); got != "before" {
		t.Errorf("the object is now %q", got)
	}
	if err := b.Create(t.Context(), "new", source(), 8); err == nil {
		t.Error("a broken source was accepted")
	}
	_, err := b.Head(t.Context(), "new")
	wantCode(t, err, slipway.NotFound)
}

func testKeys(t *testing.T, b blob.Bucket) {
	for _, key := range []string{"", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\x00b", "a\nb", "a\\b", "\xff", strings.Repeat("k", 1025)} {
		wantCode(t, b.Put(t.Context(), key, strings.NewReader(""), 0), slipway.Invalid)
		wantCode(t, b.Create(t.Context(), key, strings.NewReader(""), 0), slipway.Invalid)
		_, err := b.Get(t.Context(), key, 0, -1)
		wantCode(t, err, slipway.Invalid)
		_, err = b.Head(t.Context(), key)
		wantCode(t, err, slipway.Invalid)
		wantCode(t, b.Delete(t.Context(), key), slipway.Invalid)
	}
}

func testContext(t *testing.T, b blob.Bucket) {
	put(t, b, "k", "v")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := b.Get(ctx, "k", 0, -1)
	_, headErr := b.Head(ctx, "k")
	var listErr error
	for _, listErr = range b.List(ctx, "") {
	}
	for name, err := range map[string]error{
		"Put": b.Put(ctx, "k", strings.NewReader("w"), 1), "Create": b.Create(ctx, "l", strings.NewReader("w"), 1),
		"Get": getErr, "Head": headErr, "List": listErr, "Delete": b.Delete(ctx, "k"),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := read(t, b, "k", 0, -1); got != "v" {
		t.Errorf("got %q", got)
	}
}

func testWholeObjects(t *testing.T, b blob.Bucket) {
	values := []string{strings.Repeat("a", 100_000), strings.Repeat("b", 200_000)}
	put(t, b, "k", values[0])
	var work sync.WaitGroup
	work.Go(func() {
		for i := range 20 {
			v := values[i%2]
			if err := b.Put(t.Context(), "k", strings.NewReader(v), int64(len(v))); err != nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		if got := read(t, b, "k", 0, -1); got != values[0] && got != values[1] {
			t.Errorf("read %d bytes that were never put", len(got))
		}
	}
	work.Wait()
}

func testLarge(t *testing.T, b blob.Bucket) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16) // more than one part of an upload
	// A reader that is nothing but a reader, as a pipe is.
	if err := b.Put(t.Context(), "large", io.MultiReader(bytes.NewReader(data)), int64(len(data))); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b, "large", 0, -1); got != string(data) {
		t.Errorf("%d bytes came back as %d, or changed", len(data), len(got))
	}
	at := int64(len(data) - 7)
	if got := read(t, b, "large", at, 100); got != string(data[at:]) {
		t.Errorf("the end reads %q", got)
	}
	wantCode(t, b.Create(t.Context(), "large", bytes.NewReader(data), int64(len(data))), slipway.Conflict)
}
