package event

import "testing"

func TestGTIDText(t *testing.T) {
	sid := [16]byte{0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62}
	for want, g := range map[string]GTID{
		"": {},
		"3e11fa47-71ca-11e1-9e33-c80aa9429562:23":        {SID: sid, N: 23},
		"3e11fa47-71ca-11e1-9e33-c80aa9429562:nightly:7": {SID: sid, Tag: "nightly", N: 7},
		"0-1-18446744073709551615":                       {Server: 1, N: 1<<64 - 1},
	} {
		if got := g.String(); got != want {
			t.Errorf("%+v reads %q, want %q", g, got, want)
		}
	}
}
