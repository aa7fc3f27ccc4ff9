package protocol

// GetOrLease is the script of that name: an entry that answers, a foreign
// lease, a hold-off or an unknown one stays and is the reply; else the reader's
// own lease takes its place, and the reply is that lease.
func GetOrLease(raw, token, generation string) (stored, reply string) {
	e := Parse(raw)
	switch e.Kind {
	case Value, Negative:
		if e.Answers(generation) {
			return raw, raw
		}
	case Lease, HoldOff, Unknown:
		return raw, raw
	}
	lease := Entry{Kind: Lease, Token: token}.String()
	return lease, lease
}

// Fill is the script of that name: the entry takes the place of the reader's
// own lease, and of nothing else.
func Fill(raw, token string, entry string) (stored string, filled bool) {
	if raw != (Entry{Kind: Lease, Token: token}.String()) {
		return raw, false
	}
	return entry, true
}

// Release is the script of that name: the reader's own lease goes, so that
// nobody waits for it.
func Release(raw, token string) (stored string, released bool) {
	if raw != (Entry{Kind: Lease, Token: token}.String()) {
		return raw, false
	}
	return "", true
}

// Step is what a reader does next.
type Step uint8

// The steps of a reader.
const (
	Serve    Step = iota // the entry is the answer
	Ask                  // run GetOrLease
	Load                 // read the database, then Fill, or Release after an error
	LoadOnly             // read the database, and write nothing
	Wait                 // somebody else loads: look again after a while, or LoadOnly
)

// AfterLook is the step after a plain GET of the key.
func AfterLook(raw, generation string) Step {
	e := Parse(raw)
	switch {
	case e.Answers(generation):
		return Serve
	case e.Kind == Lease:
		return Wait
	case e.Kind == HoldOff || e.Kind == Unknown:
		return LoadOnly
	}
	return Ask
}

// AfterAsk is the step after GetOrLease with the token. A lease of the reader's
// own may be one that it took before and whose reply was lost.
func AfterAsk(reply, token, generation string) Step {
	e := Parse(reply)
	switch {
	case e.Answers(generation):
		return Serve
	case e.Kind == Lease && e.Token == token:
		return Load
	case e.Kind == Lease:
		return Wait
	}
	return LoadOnly
}
