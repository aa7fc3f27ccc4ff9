package capture

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Differences compares two recordings of the same statements, by nature's differences equal ones. Each string names a place,
// what want has there and what got has.
//
// Records with a key are compared in the order of their partition. The partition of the others, and of those whose key holds
// a GTID, is chance: they are compared by topic, in the order of their transactions. Positions are compared within a
// transaction, GTIDs by their order.
func Differences(want, got []Record) []string {
	w, g := plain(want), plain(got)
	var found []string
	for _, place := range union(w, g) {
		found = append(found, compare(place, w[place], g[place])...)
	}
	return found
}

// SchemaDifferences compares the schemas that two recordings made with schemas.enable hold.
func SchemaDifferences(want, got []Record) []string {
	w, g := schemas(want), schemas(got)
	var found []string
	for _, schema := range union(w, g) {
		if !w[schema] {
			found = append(found, "only the second has the schema "+schema)
		} else if !g[schema] {
			found = append(found, "only the first has the schema "+schema)
		}
	}
	return found
}

func schemas(records []Record) map[string]bool {
	all := map[string]bool{}
	for _, r := range records {
		if schema, ok := r.schema(); ok {
			all[schema] = true
		}
	}
	return all
}

func union[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

func compare(place string, want, got []string) (found []string) {
	for i := range max(len(want), len(got)) {
		w, g := at(want, i), at(got, i)
		if w != g {
			found = append(found, fmt.Sprintf("%s, record %d:\n  want %s\n  got  %s", place, i, w, g))
		}
	}
	return found
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}

// natural matches what differs from run to run: the id of a transaction, times, and where in the log something is.
var natural = regexp.MustCompile(`"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}:(\d+)"|"(?:ts_[mun]s|pos|thread|server_id)":[1-9]\d*|"file":"[^"]+"`)

var gtid = regexp.MustCompile(`"id":"[0-9a-f-]{36}:(\d+)"`)

// origin matches the transaction and the position in the source block of a streamed record.
var origin = regexp.MustCompile(`"gtid":"[0-9a-f-]{36}:(\d+)","file":"[^"]+","pos":(\d+)`)

// plain renders records without what differs by nature, by the place at which their order counts.
func plain(records []Record) map[string][]string {
	known := transactions(records)
	all, unordered := map[string][]string{}, map[string]bool{}
	for _, r := range records {
		place := r.Topic
		if r.Key == nil || gtid.MatchString(*r.Key) {
			unordered[place] = true
		} else {
			place += "[" + strconv.Itoa(r.Partition) + "]"
		}
		all[place] = append(all[place], line(r, known))
	}
	for place := range unordered {
		slices.Sort(all[place])
	}
	return all
}

// transaction is what records tell of one, found by the number in its GTID.
type transaction struct {
	number, begin uint64 // begin is the lowest position of a record
	rank          int    // among all that records name
}

func transactions(records []Record) map[string]*transaction {
	all := map[string]*transaction{}
	for _, r := range records {
		v := value(r.Value)
		for _, m := range natural.FindAllStringSubmatch(value(r.Key)+v, -1) {
			if n, err := strconv.ParseUint(m[1], 10, 64); err == nil && all[m[1]] == nil {
				all[m[1]] = &transaction{number: n, begin: math.MaxUint64}
			}
		}
		if m := origin.FindStringSubmatch(v); m != nil {
			all[m[1]].begin = min(all[m[1]].begin, position(m[2]))
		}
	}
	sorted := slices.SortedFunc(maps.Values(all), func(a, b *transaction) int { return cmp.Compare(a.number, b.number) })
	for i, t := range sorted {
		t.rank = i
	}
	return all
}

// position reads digits; no log is too long for its positions.
func position(digits string) uint64 {
	n, _ := strconv.ParseUint(digits, 10, 64)
	return n
}

func line(r Record, known map[string]*transaction) string {
	v := sortedTables(value(r.Value))
	if at := origin.FindStringSubmatchIndex(v); at != nil {
		begin := known[v[at[2]:at[3]]].begin
		v = fmt.Sprintf("%s+%d%s", v[:at[4]], position(v[at[4]:at[5]])-begin, v[at[5]:])
	}
	s := value(r.Key) + " " + strings.Join(r.Headers, " ") + " " + v
	return natural.ReplaceAllStringFunc(s, func(m string) string {
		if name, _, ok := strings.Cut(m, `":`); ok {
			return name + `":*`
		}
		_, number, _ := strings.Cut(strings.Trim(m, `"`), ":")
		return fmt.Sprintf(`"transaction %03d"`, known[number].rank)
	})
}

func value(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// sortedTables orders the tables of an END, which Debezium lists in no order.
func sortedTables(end string) string {
	head, list, ok := strings.Cut(end, `"data_collections":[`)
	if !ok {
		return end
	}
	list, tail, _ := strings.Cut(list, "]")
	tables := strings.Split(list, "},{")
	tables[0] = strings.TrimPrefix(tables[0], "{")
	tables[len(tables)-1] = strings.TrimSuffix(tables[len(tables)-1], "}")
	slices.Sort(tables)
	return head + `"data_collections":[{` + strings.Join(tables, "},{") + "}]" + tail
}
