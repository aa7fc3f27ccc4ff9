package text

// palette holds the escape sequences; all are empty without colour.
type palette struct {
	insert, update, delete, other string // signs and new or old values
	table, column, key, null, dim string
	reset                         string
}

func paletteFor(color bool) palette {
	if !color {
		return palette{}
	}
	return palette{
		insert: "\x1b[32m", update: "\x1b[33m", delete: "\x1b[31m", other: "\x1b[35m",
		table: "\x1b[1m", column: "\x1b[36m", key: "\x1b[1;36m", null: "\x1b[2;3m", dim: "\x1b[2m",
		reset: "\x1b[0m",
	}
}

// paint appends s in a colour.
func (r *renderer) paint(color, s string) {
	r.b = append(r.b, color...)
	r.b = append(r.b, s...)
	if color != "" {
		r.b = append(r.b, r.colors.reset...)
	}
}
