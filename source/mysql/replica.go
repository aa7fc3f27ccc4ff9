package mysql

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// replica is who we are to the server. Both ids are derived from names, so
// that a restart has the same ones: the server then ends what an earlier run
// left behind.
type replica struct {
	id   uint32
	uuid string
}

func newReplica(r ServerIDs, installation, pipeline string) replica {
	sum := sha256.Sum256([]byte("cdcd\x00" + installation + "\x00" + pipeline))
	hash := binary.BigEndian.Uint32(sum[16:])
	if r == (ServerIDs{}) {
		r = ServerIDs{Low: 1 << 31, High: 1<<32 - 2}
	}
	size := uint64(r.High-r.Low) + 1
	return replica{id: r.Low + uint32(uint64(hash)%size), uuid: uuidOf(sum[:16])}
}

// uuidOf marks b as a uuid of version 8, made by a rule of our own.
func uuidOf(b []byte) string {
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
