package mysql

import (
	"reflect"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

// TestClientBufferIsEmptyBeforeADump holds the assumption under which link
// reads the bare connection: go-mysql buffers what it reads, but once every
// answer was read to its end nothing is left there.
func TestClientBufferIsEmptyBeforeADump(t *testing.T) {
	for _, f := range testenv.Flavors {
		m := testenv.SharedMySQL(t, f)
		for _, mode := range []string{tlsDisabled, tlsRequired} {
			c := DefaultConfig()
			c.Hosts, c.User, c.Password, c.TLS.Mode = []string{m.Addr()}, testenv.ReaderUser, testenv.ReaderPassword, mode
			q, err := New(c, "test", t.Name()).connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			if _, err := q.ask(t.Context(), "SHOW GLOBAL VARIABLES"); err != nil {
				t.Fatal(err)
			}
			if err := q.prepareDump(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := q.register(t.Context()); err != nil {
				t.Fatal(err)
			}
			buffer := reflect.ValueOf(q.Conn.Conn).Elem().FieldByName("br")
			if !buffer.IsValid() || buffer.IsNil() {
				t.Fatalf("%s, TLS %s: the client has no buffer br any more: look again", f, mode)
			}
			if r, w := buffer.Elem().FieldByName("r").Int(), buffer.Elem().FieldByName("w").Int(); r != w {
				t.Errorf("%s, TLS %s: %d bytes are left in the client's buffer", f, mode, w-r)
			}
		}
	}
}

func TestCharsetsAreAskedFor(t *testing.T) {
	for _, f := range testenv.Flavors {
		c := DefaultConfig()
		c.Hosts, c.User, c.Password = []string{testenv.SharedMySQL(t, f).Addr()}, testenv.ReaderUser, testenv.ReaderPassword
		q, err := New(c, "test", t.Name()).connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		all, err := q.charsets(t.Context())
		if err != nil || len(all) < 200 || all[8] != "latin1" || all[45] != "utf8mb4" {
			t.Errorf("%s: %d collations, %v", f, len(all), err)
		}
	}
}
