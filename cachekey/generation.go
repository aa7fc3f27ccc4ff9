package cachekey

// Generation is the key of the generation of a table: a random value that
// stands inside every entry made of the table's rows. Deleting it makes all of
// them misses. It is "gen:{database.table}", with the names escaped as values
// are and a dot in them as %2E.
func Generation(database, table string) string {
	return string(AppendGeneration(nil, database, table))
}

// AppendGeneration appends [Generation] to dst.
func AppendGeneration(dst []byte, database, table string) []byte {
	dst = append(dst, "gen:{"...)
	dst = append(appendName(dst, database), '.')
	return append(appendName(dst, table), '}')
}

func appendName(dst []byte, name string) []byte {
	for i := range len(name) {
		if c := name[i]; escaped[c] || c == '.' {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
