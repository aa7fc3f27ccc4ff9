package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

const tailHelp = `usage: cdcd tail [flags] mysql://USER@HOST[:PORT]/[DATABASE]

Prints the changes of a MySQL or MariaDB server as they are committed, from now
on, until interrupted. It needs no configuration and leaves nothing behind: no
checkpoint, no file.

The password is asked for on the terminal, unless it comes from the environment
or a file. It is never taken from the URL or a flag, where every user of the
machine could read it.

The server must write its log in rows with full metadata (binlog_format=ROW,
binlog_row_image=FULL, binlog_row_metadata=FULL), and the user needs the
privileges REPLICATION SLAVE and REPLICATION CLIENT; an error tells what is
missing and how to set it.

flags:
  --tables LIST         only these tables: shop.*, shop.users,blog.posts
                        (default: all of DATABASE, or of every database)
  --password-file FILE  read the password from FILE
  --json                print each change as a line of JSON, as Debezium has it

environment:
  CDCD_MYSQL_PASSWORD   the password; set and empty means none

examples:
  cdcd tail mysql://root@127.0.0.1/
  cdcd tail --tables 'shop.*' mysql://cdcd@db.example:3307/
  CDCD_MYSQL_PASSWORD= cdcd tail mysql://root@localhost/shop
`

// server is what the argument of tail names.
type server struct{ addr, user, database string }

// parseServer takes the URL apart. A password in it is refused: command lines
// are no secret.
func parseServer(s string) (server, error) {
	const form = "write mysql://USER@HOST[:PORT]/[DATABASE]"
	if !strings.Contains(s, "://") {
		return server{}, usagef(form, "that is no address of a server")
	}
	u, err := url.Parse(s)
	if err != nil {
		return server{}, usagef(form, "that is no address of a server") // the text may hold a password: keep it out
	}
	if _, has := u.User.Password(); has {
		return server{}, usagef("leave it out: it is asked for, or set CDCD_MYSQL_PASSWORD or --password-file",
			"a password in the address can be read by every user of the machine, and stays in the shell's history")
	}
	db := strings.TrimPrefix(u.Path, "/")
	switch {
	case u.Scheme != "mysql" && u.Scheme != "mariadb":
		return server{}, usagef(form, "the scheme %q is not known", u.Scheme)
	case u.User.Username() == "" || u.Hostname() == "":
		return server{}, usagef(form, "the address names no user or no host")
	case strings.Contains(db, "/") || u.RawQuery != "" || u.Fragment != "":
		return server{}, usagef(form, "there is more in the address than user, host, port and database")
	}
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	return server{addr: net.JoinHostPort(u.Hostname(), port), user: u.User.Username(), database: db}, nil
}

// askPassword finds the password: the file, the environment, the person.
func askPassword(sys *system, file string, s server) (string, error) {
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", usagef("", "cannot read the password: %v", err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	if pw, ok := sys.env("CDCD_MYSQL_PASSWORD"); ok {
		return pw, nil
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", usagef("set CDCD_MYSQL_PASSWORD (empty for none), or use --password-file",
			"there is no terminal to ask for the password on")
	}
	defer tty.Close()
	fmt.Fprintf(tty, "password of %s at %s: ", s.user, s.addr)
	defer fmt.Fprintln(tty)
	return readHidden(int(tty.Fd()))
}

// readHidden reads a line without showing it. An interrupt gives the terminal
// its echo back, which the default action of the signal would not.
func readHidden(fd int) (string, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return "", usagef("", "cannot read the password: %v", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	type answer struct {
		text []byte
		err  error
	}
	read := make(chan answer, 1)
	go func() { // ends with the process when it is interrupted: nothing else ends a read of a terminal
		text, err := term.ReadPassword(fd)
		read <- answer{text, err}
	}()
	select {
	case a := <-read:
		return string(a.text), a.err
	case <-signals:
		_ = term.Restore(fd, before)
		return "", &exitError{code: exitFailed, err: errSilent}
	}
}

// tailTables are the patterns that --tables and the address select.
func tailTables(flag string, s server) ([]string, error) {
	switch {
	case flag == "" && s.database == "":
		return nil, nil
	case flag == "":
		return []string{s.database + ".*"}, nil
	}
	var out []string
	for _, t := range strings.Split(flag, ",") {
		t = strings.TrimSpace(t)
		if t == "" {
			return nil, usagef("cdcd help tail", "--tables has an empty name")
		}
		if !strings.Contains(t, ".") {
			if s.database == "" {
				return nil, usagef("write it as database.table", "--tables names %q without its database", t)
			}
			t = s.database + "." + t
		}
		out = append(out, t)
	}
	return out, nil
}
