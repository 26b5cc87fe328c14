package tracking

import (
	"sync"
	"sync/atomic"
)

// runCache keeps whole runs, so that a search picks ids and has the rest at
// hand. A reader whose snapshot is older than a write must not store what it
// read after that write has dropped the run: so every write counts up a clock,
// a reader notes the clock before it opens its snapshot, and a shard takes only
// what is not older than the last write to one of its runs.
type runCache struct {
	clock atomic.Uint64
	shard [64]cacheShard
}

type cacheShard struct {
	mu      sync.Mutex
	changed uint64 // the clock at the last write
	runs    map[int64]*Run
}

// shardRuns bounds a shard: about 16,000 runs in all.
const shardRuns = 256

func newRunCache() *runCache {
	c := &runCache{}
	for i := range c.shard {
		c.shard[i].runs = map[int64]*Run{}
	}
	return c
}

func (c *runCache) of(number int64) *cacheShard { return &c.shard[uint64(number)%uint64(len(c.shard))] }

// now is what a reader notes before it opens its snapshot.
func (c *runCache) now() uint64 {
	if c == nil {
		return 0
	}
	return c.clock.Load()
}

// get returns a cached run, or nil.
func (c *runCache) get(number int64) *Run {
	if c == nil {
		return nil
	}
	s := c.of(number)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[number]
}

// put keeps a run that was read in a snapshot not older than at.
func (c *runCache) put(r *Run, at uint64) {
	if c == nil {
		return
	}
	s := c.of(r.number)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed > at {
		return
	}
	if len(s.runs) >= shardRuns {
		for number := range s.runs { // any one: the order of a map is random
			delete(s.runs, number)
			break
		}
	}
	s.runs[r.number] = r
}

// forget drops a run after a write to it has committed.
func (c *runCache) forget(number int64) {
	if c == nil {
		return
	}
	s := c.of(number)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = c.clock.Add(1)
	delete(s.runs, number)
}

// forgetAll drops every run.
func (c *runCache) forgetAll() {
	if c == nil {
		return
	}
	for i := range c.shard {
		s := &c.shard[i]
		s.mu.Lock()
		s.changed = c.clock.Add(1)
		clear(s.runs)
		s.mu.Unlock()
	}
}

// seriesName is a series as a client names it.
type seriesName struct {
	run int64
	seriesKey
}

// seriesCache remembers the numbers of series that were written lately. What it
// says may be out of date, after a rollback or by another process, so whoever
// uses a number has the database check it.
type seriesCache struct {
	mu sync.Mutex
	id map[seriesName]int64
}

// maxSeries bounds the cache: some 10 MB.
const maxSeries = 64 << 10

func (c *seriesCache) get(n seriesName) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok := c.id[n]
	return id, ok
}

func (c *seriesCache) put(n seriesName, id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id == nil {
		c.id = map[seriesName]int64{}
	}
	for old := range c.id {
		if len(c.id) < maxSeries {
			break
		}
		delete(c.id, old) // any one: the order of a map is random
	}
	c.id[n] = id
}
