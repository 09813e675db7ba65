package main

import (
	"errors"
	"testing"
	"time"
)

func TestMerge(t *testing.T) {
	rounds := []round{
		{requests: 10, p50: 1, p99: 9, p999: 3, longest: 4, near: 1, p50Near: 5, p99Near: 6},
		{requests: 20, p50: 2, p99: 2, p999: 9, longest: 5, near: 2, p50Near: 6, p99Near: 7, lost: 5, losses: make([]loss, 3)},
		{requests: 30, p50: 9, p99: 3, p999: 4, longest: 9, near: 3, p50Near: 9, p99Near: 9, lost: 6, losses: make([]loss, 4)},
	}
	got := merge(rounds)
	if got.requests != 60 || got.lost != 11 || len(got.losses) != 7 || got.near != 6 {
		t.Errorf("got %+v, want the sums", got)
	}
	if got.p50 != 2 || got.p99 != 3 || got.p999 != 4 || got.longest != 5 || got.p50Near != 6 || got.p99Near != 7 {
		t.Errorf("got %+v, want the medians", got)
	}
}

func TestLossError(t *testing.T) {
	noon := time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)
	at := func(second int) loss {
		return loss{noon.Add(time.Duration(second) * time.Second), errors.New("cause")}
	}
	good := round{requests: 10}
	tests := []struct {
		name    string
		results []result
		want    string
	}{
		{"none", []result{{sidecar: []round{good}, bare: []round{good}}}, ""},
		{"one, of the bare server", []result{{sidecar: []round{good}, bare: []round{{requests: 10, lost: 1, losses: []loss{at(1)}}}}},
			"1 of 20 requests lost; the machine stalled for up to 12ms; first losses:\n12:00:01.000 cause"},
		{"many, out of order", []result{
			{sidecar: []round{good, {requests: 10, lost: 9, losses: []loss{at(7), at(3), at(5)}}}},
			{sidecar: []round{{requests: 10, lost: 4, losses: []loss{at(4), at(2), at(6), at(1)}}}},
		}, "13 of 30 requests lost; the machine stalled for up to 12ms; first losses:\n12:00:01.000 cause\n12:00:02.000 cause\n12:00:03.000 cause\n12:00:04.000 cause\n12:00:05.000 cause"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := lossError(tt.results, 12*time.Millisecond); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
