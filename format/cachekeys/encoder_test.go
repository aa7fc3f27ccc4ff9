package cachekeys

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cdcd-io/cdcd/cachekey"
	"github.com/cdcd-io/cdcd/event"
	"github.com/cdcd-io/cdcd/event/eventtest"
	"github.com/cdcd-io/cdcd/format"
	"github.com/cdcd-io/cdcd/resilience"
)

// keys collects what an encoder emits, as "route key".
type keys struct {
	all     []string
	records []format.Record
}

func (k *keys) Emit(r *format.Record) error {
	if r.Value != nil {
		return fmt.Errorf("a value: %q", r.Value)
	}
	k.all = append(k.all, r.Route.Topic+" "+string(r.Key))
	k.records = append(k.records, *r)
	return nil
}

// users has an integer key, a tenant, a nullable text, a state and a payload.
func users() *event.Table {
	col := eventtest.Col
	state := col("state", event.TypeEnum)
	state.Labels = []string{"new", "active"}
	t := eventtest.Table("shop", "users", []string{"id"}, col("id", event.TypeInt), col("tenant", event.TypeInt),
		col("email", event.TypeText), state, col("payload", event.TypeText))
	t.Columns[1].Nullable, t.Columns[3].Nullable = false, false
	return t
}

func user(id, tenant int64, email any, state int, payload string) []event.Value {
	e := eventtest.Null()
	if s, ok := email.(string); ok {
		e = eventtest.Text(s)
	}
	return []event.Value{eventtest.Int(id), eventtest.Int(tenant), e, eventtest.Enum(state), eventtest.Text(payload)}
}

func encode(t testing.TB, cfg Config, pieces ...*event.Piece) *keys {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	e, out := New(cfg, &format.Routes{}), &keys{}
	for _, p := range pieces {
		if err := e.Encode(p, out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func rules(r ...cachekey.Rule) Config {
	c := DefaultConfig()
	c.Keys = r
	return c
}

func expect(t *testing.T, got *keys, want ...string) {
	t.Helper()
	if !slices.Equal(got.all, want) {
		t.Errorf("got %q, want %q", got.all, want)
	}
}

func TestBothImagesGiveKeys(t *testing.T) {
	table := users()
	cfg := rules(cachekey.Rule{Table: "shop.users", Key: "user:{id}"}, cachekey.Rule{Table: "shop.users", Key: "mail:{email|lower|null=skip}"},
		cachekey.Rule{Table: "shop.other", Key: "other:{id}"})
	one, moved, bare := user(1, 7, "A@x", 1, "p"), user(2, 7, "b@x", 1, "p"), user(2, 7, nil, 1, "p")
	got := encode(t, cfg, eventtest.Piece(eventtest.Tx(1),
		eventtest.Insert(table, one...), eventtest.Update(table, one, one), eventtest.Update(table, one, moved),
		eventtest.Update(table, moved, bare), eventtest.Delete(table, bare...), eventtest.Read(table, one...),
		eventtest.Insert(eventtest.Orders(), eventtest.Int(1), eventtest.Null())))
	expect(t, got,
		"user:{id} user:1", "mail:{email|lower|null=skip} mail:a@x",
		"user:{id} user:1", "mail:{email|lower|null=skip} mail:a@x",
		"user:{id} user:1", "user:{id} user:2", "mail:{email|lower|null=skip} mail:a@x", "mail:{email|lower|null=skip} mail:b@x",
		"user:{id} user:2", "mail:{email|lower|null=skip} mail:b@x",
		"user:{id} user:2")
	last := got.records[4:8]
	for i, r := range last {
		if r.Ordinal != 3 || int(r.Part) != i+1 || r.Parts != 4 || r.Millis != 1767225601123 {
			t.Errorf("record %d: %+v", i, r)
		}
	}
}

func TestOnlyIfChanged(t *testing.T) {
	table := users()
	cfg := rules(cachekey.Rule{Table: "shop.users", Key: "t:{tenant}", OnlyIfChanged: []string{"EMAIL"}, Where: "state = 'active'"})
	base := user(1, 7, "a", 2, "p")
	for _, c := range []struct {
		after []event.Value
		want  []string
	}{
		{user(1, 7, "a", 2, "other"), nil},
		{user(9, 7, "a", 2, "p"), nil},
		{user(1, 7, "b", 2, "p"), []string{"t:{tenant} t:7"}},
		{user(1, 7, nil, 2, "p"), []string{"t:{tenant} t:7"}},
		{user(1, 8, "a", 2, "p"), []string{"t:{tenant} t:7", "t:{tenant} t:8"}},
		{user(1, 7, "a", 1, "p"), []string{"t:{tenant} t:7"}}, // leaves the predicate
	} {
		expect(t, encode(t, cfg, eventtest.Piece(eventtest.Tx(1), eventtest.Update(table, base, c.after))), c.want...)
	}
	expect(t, encode(t, cfg, eventtest.Piece(eventtest.Tx(1), eventtest.Insert(table, base...), eventtest.Delete(table, base...))),
		"t:{tenant} t:7", "t:{tenant} t:7")
	absent := slices.Clone(base)
	absent[2] = eventtest.Absent()
	expect(t, encode(t, cfg, eventtest.Piece(eventtest.Tx(1), eventtest.Update(table, absent, absent))), "t:{tenant} t:7")
}

func TestDDLBumpsGenerations(t *testing.T) {
	cfg := rules(cachekey.Rule{Table: "shop.users", Key: "user:{id}"}, cachekey.Rule{Table: "shop.users", Key: "mail:{email}"},
		cachekey.Rule{Table: "shop.Orders", Key: "order:{id}"}, cachekey.Rule{Table: "crm.leads", Key: "lead:{id}"})
	const users, orders, leads = "gen:{} gen:{shop.users}", "gen:{} gen:{shop.Orders}", "gen:{} gen:{crm.leads}"
	tables := func(db, name string) []event.DDLTable { return []event.DDLTable{{Database: db, Name: name}} }
	names := func(list ...string) (all []event.TableName) {
		for i := 0; i < len(list); i += 2 {
			all = append(all, event.TableName{Database: list[i], Name: list[i+1]})
		}
		return all
	}
	for _, c := range []struct {
		ddl  event.DDL
		want []string
	}{
		{event.DDL{Kind: event.DDLTruncate, Tables: tables("shop", "users"), Names: names("shop", "users")}, []string{users}},
		{event.DDL{Kind: event.DDLTruncate, Tables: tables("shop", "x"), Names: names("shop", "x")}, nil},
		{event.DDL{Kind: event.DDLTruncate, Tables: tables("crm", "users"), Names: names("crm", "users")}, nil},
		{event.DDL{Kind: event.DDLAlter, Names: names("SHOP", "ORDERS")}, []string{orders}},
		{event.DDL{Kind: event.DDLRename, Names: names("shop", "users", "shop", "_old", "shop", "_new", "shop", "users")}, []string{users}},
		{event.DDL{Kind: event.DDLDrop, SQL: "DROP DATABASE crm"}, []string{leads}},
		{event.DDL{Kind: event.DDLDrop, SQL: "DROP DATABASE Shop", Tables: tables("shop", "users")}, []string{users, orders}},
		{event.DDL{Kind: event.DDLOther, SQL: "whatever"}, []string{users, orders, leads}},
		{event.DDL{Kind: event.DDLTruncate, Tables: tables("shop", "users"), Reread: true}, nil},
		{event.DDL{Kind: event.DDLTruncate, Tables: tables("shop", "users"), Reread: true, Gap: true}, []string{users}},
	} {
		tx := eventtest.Tx(1)
		tx.DDL = &c.ddl
		expect(t, encode(t, cfg, eventtest.Piece(tx)), c.want...)
	}
}

func TestHugeTransactionsBumpGenerations(t *testing.T) {
	table, small := users(), eventtest.Orders()
	cfg := rules(cachekey.Rule{Table: "shop.users", Key: "user:{id}"}, cachekey.Rule{Table: "shop.orders", Key: "order:{id}"})
	cfg.GenerationAbove = 3
	var rows []eventtest.Row
	for i := range int64(4) {
		rows = append(rows, eventtest.Insert(table, user(i, 1, nil, 1, "")...))
		if i < 2 {
			rows = append(rows, eventtest.Insert(small, eventtest.Int(i), eventtest.Null()))
		}
	}
	const gen = "gen:{} gen:{shop.users}"
	expect(t, encode(t, cfg, eventtest.Pieces(eventtest.Tx(1), 3, rows...)...), gen, "order:{id} order:0", gen, "order:{id} order:1")
	// The next transaction is none: its pieces may lie where those of the first did.
	expect(t, encode(t, cfg, eventtest.Piece(eventtest.Tx(2), rows[:6]...)), gen, "order:{id} order:0", "order:{id} order:1")
	expect(t, encode(t, cfg, eventtest.Piece(eventtest.Tx(2), rows[:3]...)), "user:{id} user:0", "order:{id} order:0", "user:{id} user:1")
}

func TestGenerationComesAgainInAPieceOfTheSameMemory(t *testing.T) {
	table := users()
	cfg := Config{Keys: []cachekey.Rule{{Table: "shop.users", Key: "user:{id}"}}, GenerationAbove: 1}
	e, out := New(cfg, &format.Routes{}), &keys{}
	p := eventtest.Piece(eventtest.Tx(1), eventtest.Insert(table, user(1, 1, nil, 1, "")...), eventtest.Insert(table, user(2, 1, nil, 1, "")...))
	for range 2 {
		if err := e.Encode(p, out); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, out, "gen:{} gen:{shop.users}", "gen:{} gen:{shop.users}")
}

func TestTemplatesAreCheckedAgainWithEachTableVersion(t *testing.T) {
	cfg := Config{Keys: []cachekey.Rule{{Table: "shop.users", Key: "mail:{email|null=skip}", Where: "tenant > 3", OnlyIfChanged: []string{"payload"}}}, GenerationAbove: 9}
	e, out := New(cfg, &format.Routes{}), &keys{}
	if err := e.Encode(eventtest.Piece(eventtest.Tx(1), eventtest.Insert(users(), user(1, 7, "a", 1, "")...)), out); err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]string{"email": "cache_key_column_missing", "tenant": "cache_rule_column", "payload": "cache_rule_column"} {
		changed := users()
		changed.Columns[slices.IndexFunc(changed.Columns, func(c event.Column) bool { return c.Name == column })].Name = "renamed"
		err := e.Encode(eventtest.Piece(eventtest.Tx(2), eventtest.Insert(changed, user(1, 7, "a", 1, "")...)), out)
		if resilience.CodeOf(err) != want || resilience.ClassOf(err) != resilience.Fatal || !strings.Contains(err.Error(), column) {
			t.Errorf("without %s: %v", column, err)
		}
		if err := cfg.Check(changed); resilience.CodeOf(err) != want {
			t.Errorf("check without %s: %v", column, err)
		}
	}
	if err := cfg.Check(users()); err != nil {
		t.Error(err)
	}
	expect(t, out, "mail:{email|null=skip} mail:a")
}

func TestRowWithoutAKeyIsPoison(t *testing.T) {
	row := user(1, 7, "a", 1, "")
	row[1] = eventtest.Absent()
	e := New(rules(cachekey.Rule{Table: "shop.users", Key: "u:{tenant}:{id}"}), &format.Routes{})
	err := e.Encode(eventtest.Piece(eventtest.Tx(1), eventtest.Delete(users(), row...)), &keys{})
	if resilience.CodeOf(err) != "cache_key_absent" || resilience.ClassOf(err) != resilience.Poison ||
		!strings.Contains(err.Error(), "shop.users, column tenant, row 0") || !strings.Contains(resilience.HintOf(err), "binlog_row_image=FULL") {
		t.Error(err)
	}
}

func TestConfigTellsAllProblems(t *testing.T) {
	err := Config{Keys: []cachekey.Rule{{Table: "users", Key: "user:{id}"}, {Table: "shop.users", Key: "user:{id"},
		{Table: "shop.users", Key: "a:{id}", Where: "id ="}, {Table: "s.t", Key: "b"}, {Table: "s.t", Key: "b"}}}.Validate()
	for _, want := range []string{"generation_above", "keys[0]: table: want database.table", "keys[1]: parse key template", "keys[2]: parse where",
		"keys[4]: the same table and key as keys[3]"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if err := DefaultConfig().Validate(); err == nil || !strings.Contains(err.Error(), "keys: want at least one") {
		t.Error(err)
	}
}

// TestEncoderAgreesWithANaiveModel: for random rules and rows the keys are those
// that an application would look the images up by.
func TestEncoderAgreesWithANaiveModel(t *testing.T) {
	templates := []string{"user:{id}", "t:{tenant}", "t:{{tenant}}:{id}", "mail:{email|lower|null=skip}", "s:{state}:{email|null=token}"}
	wheres := map[string]func(u map[string]any) bool{
		"":                                     func(map[string]any) bool { return true },
		"tenant >= 1":                          func(u map[string]any) bool { return u["tenant"].(int64) >= 1 },
		"email is null or `state` != 'new'":    func(u map[string]any) bool { return u["email"] == nil || u["state"] != "new" },
		"email = 'a' and (id = 0 or id = 2)":   func(u map[string]any) bool { return equalFold(u["email"], "a") && u["id"].(int64)%2 == 0 },
		"id<>1 AND tenant<1.5 AND tenant>-0.5": func(u map[string]any) bool { return u["id"].(int64) != 1 && u["tenant"].(int64) < 2 },
	}
	var texts []string
	for w := range wheres {
		texts = append(texts, w)
	}
	slices.Sort(texts)
	table := users()
	rapid.Check(t, func(t *rapid.T) {
		r := cachekey.Rule{Table: "shop.users", Key: rapid.SampledFrom(templates).Draw(t, "key"), Where: rapid.SampledFrom(texts).Draw(t, "where"),
			OnlyIfChanged: rapid.SampledFrom([][]string{nil, {"payload"}, {"email", "state"}}).Draw(t, "shown")}
		before, old := drawUser(t, "before")
		after, now := drawUser(t, "after")
		op := rapid.SampledFrom([]event.Op{event.Insert, event.Update, event.Delete}).Draw(t, "op")
		var row eventtest.Row
		images := []map[string]any{old, now}
		switch op {
		case event.Insert:
			row, images = eventtest.Insert(table, after...), images[1:]
		case event.Delete:
			row, images = eventtest.Delete(table, before...), images[:1]
		default:
			row = eventtest.Update(table, before, after)
		}
		want := modelKeys(t, r, wheres[r.Where], images)
		out := &keys{}
		if err := New(rules(r), &format.Routes{}).Encode(eventtest.Piece(eventtest.Tx(1), row), out); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(out.all, want) {
			t.Fatalf("%+v of %v: got %q, want %q", r, images, out.all, want)
		}
	})
}

func equalFold(v any, s string) bool {
	have, ok := v.(string)
	return ok && strings.EqualFold(have, s)
}

func drawUser(t *rapid.T, name string) ([]event.Value, map[string]any) {
	id, tenant := rapid.Int64Range(0, 2).Draw(t, name+" id"), rapid.Int64Range(0, 2).Draw(t, name+" tenant")
	email := rapid.SampledFrom([]any{nil, "a", "A", "b"}).Draw(t, name+" email")
	state := rapid.IntRange(1, 2).Draw(t, name+" state")
	payload := rapid.SampledFrom([]string{"x", "y"}).Draw(t, name+" payload")
	return user(id, tenant, email, state, payload), map[string]any{"id": id, "tenant": tenant, "email": email,
		"state": []string{"new", "active"}[state-1], "payload": payload}
}

func modelKeys(t *rapid.T, r cachekey.Rule, where func(map[string]any) bool, images []map[string]any) []string {
	tmpl := cachekey.MustParse(r.Key)
	if len(images) == 2 && r.OnlyIfChanged != nil {
		changed := false
		for _, c := range append(append(tmpl.Columns(), r.OnlyIfChanged...), whereColumns(r.Where)...) {
			changed = changed || images[0][c] != images[1][c]
		}
		if !changed {
			return nil
		}
	}
	var want []string
	for _, u := range images {
		if !where(u) {
			continue
		}
		if key, err := tmpl.KeyOf(u); err == nil && !slices.Contains(want, r.Key+" "+key) {
			want = append(want, r.Key+" "+key)
		}
	}
	return want
}

func whereColumns(text string) (all []string) {
	for _, c := range []string{"id", "tenant", "email", "state"} {
		if slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" (`<>=", r) }), c) {
			all = append(all, c)
		}
	}
	return all
}

type nowhere struct{}

func (nowhere) Emit(*format.Record) error { return nil }

func TestEncodingDoesNotAllocatePerRow(t *testing.T) {
	table := users()
	cfg := rules(cachekey.Rule{Table: "shop.users", Key: "user:{id}"}, cachekey.Rule{Table: "shop.users", Key: "m:{email|fold|null=skip}",
		OnlyIfChanged: []string{"payload"}, Where: "tenant > 3 or email = 'x'"})
	cfg.GenerationAbove = 1 << 20
	var rows []eventtest.Row
	for i := range int64(1000) {
		rows = append(rows, eventtest.Update(table, user(i, 7, "Jürgen", 1, "a"), user(i+1, 7, "Jürgen", 1, "b")))
	}
	e, p := New(cfg, &format.Routes{}), eventtest.Piece(eventtest.Tx(1), rows...)
	if n := testing.AllocsPerRun(5, func() {
		if err := e.Encode(p, nowhere{}); err != nil {
			t.Fatal(err)
		}
	}); n > 8 {
		t.Errorf("%v allocations for 1000 rows", n)
	}
}
