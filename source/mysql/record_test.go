package mysql_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cdcd-io/cdcd/internal/testenv"
)

var record = flag.Bool("record", false, "write the recorded logs in testdata anew")

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// TestRecordLogs writes the logs from which the unit tests read, with -record.
func TestRecordLogs(t *testing.T) {
	if !*record {
		return
	}
	script, err := os.ReadFile("testdata/record.sql")
	if err != nil {
		t.Fatal(err)
	}
	compress := map[testenv.Flavor][2]string{
		testenv.MySQL97:    {"SET binlog_transaction_compression = ON;", "SET binlog_transaction_compression = OFF;"},
		testenv.MariaDB118: {"SET GLOBAL log_bin_compress_min_len = 10; SET GLOBAL log_bin_compress = ON;", "SET GLOBAL log_bin_compress = OFF;"},
	}
	for _, f := range testenv.Flavors {
		m := testenv.ForTest(t).MySQL(testenv.MySQLOptions{Flavor: f})
		sql := strings.NewReplacer("/* compressed */", compress[f][0], "/* plain */", compress[f][1]).Replace(string(script))
		m.MustExec(t, "CREATE DATABASE d; FLUSH BINARY LOGS;", "USE d; "+sql, "FLUSH BINARY LOGS")
		file := *m.MustQuery(t, "SHOW BINARY LOGS")[1][0]
		log, err := os.ReadFile(filepath.Join(m.DataDir(), file))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, _ = z.Write(log)
		_ = z.Close()
		if err := os.WriteFile("testdata/"+f.String()+".binlog.gz", out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
