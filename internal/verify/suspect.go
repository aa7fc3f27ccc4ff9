package verify

// suspect is a key that may differ.
type suspect struct {
	key     string
	state   digest // what the topic has for it
	place          // of that record
	fromRow bool   // it was found by its row
	strikes int    // rounds in a row that found a difference
	// Of the round under way.
	row   digest
	image []byte // of the row; kept once the key has a strike
	met   bool   // the topic had the row, at some time from the beginning of the window on
}

// suspectBytes is about what a suspect takes beside its key.
const suspectBytes = 200

// begin forgets the last round.
func (s *suspect) begin() { s.row, s.image, s.met = absent, nil, false }

// apply takes in the next record of the key, after the row was read. Inside the
// window what was there before it counts too.
func (s *suspect) apply(d digest, p place, inWindow bool) {
	if s.state != absent && !p.newer(s.place) {
		return
	}
	s.met = s.met || inWindow && s.row.matches(s.state)
	s.state, s.place = d, p
}

// truncate takes in a record that empties a partition.
func (s *suspect) truncate(p place, inWindow bool) {
	if s.place.part == p.part {
		s.apply(absent, p, inWindow)
	}
}

// verdict is what a round says of a key.
type verdict uint8

const (
	equal   verdict = iota
	busy            // it was touched while it was looked at, and is right
	differs         // the row is none that the topic had for the key meanwhile
)

func (s *suspect) judge() verdict {
	switch {
	case s.row.matches(s.state):
		return equal
	case s.met:
		return busy
	}
	return differs
}
