package clock

import (
	"context"
	"errors"
	"testing"
	"time"
)

var noon = time.Date(2013, 9, 10, 12, 0, 0, 0, time.UTC)

func TestFakeWakesInOrderAndOnlyWhenDue(t *testing.T) {
	c := NewFake(noon)
	late, early := c.After(2*time.Minute), c.After(time.Minute)
	if got := <-c.After(0); !got.Equal(noon) {
		t.Errorf("a wait for nothing ended at %v", got)
	}
	c.Advance(time.Minute)
	if got := <-early; !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("woken at %v", got)
	}
	select {
	case <-late:
		t.Error("woken a minute early")
	default:
	}
	c.Advance(time.Hour)
	<-late
	if got := c.Now(); !got.Equal(noon.Add(61 * time.Minute)) {
		t.Errorf("now is %v", got)
	}
}

func TestSleep(t *testing.T) {
	c := NewFake(noon)
	ended := make(chan error)
	go func() { ended <- c.Sleep(context.Background(), time.Hour) }()
	c.AwaitWaiters(1)
	c.Advance(time.Hour)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, clock := range []Clock{c, Wall{}} {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { ended <- clock.Sleep(ctx, time.Hour) }()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := clock.Sleep(ctx, 0); !errors.Is(err, context.Canceled) {
			t.Error("a sleep began after its context ended")
		}
		if err := clock.Sleep(context.Background(), 0); err != nil {
			t.Error(err)
		}
	}
}

func TestWallIsUTCInMicroseconds(t *testing.T) {
	now := Wall{}.Now()
	if now.Location() != time.UTC || now.Nanosecond()%1000 != 0 {
		t.Errorf("%v", now)
	}
}
