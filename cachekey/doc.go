// Package cachekey turns rows, and the arguments of a lookup, into the same
// cache keys.
//
// A [Template] such as "user:{id}" is used on two sides. The daemon compiles it
// against a table version and renders it from row images without allocating;
// an application renders it from Go values. Both must yield the same bytes, or
// what one caches the other never invalidates, so the rendering is canonical: it
// depends on the value and the template only, never on the declared width, scale
// or length of a column. testdata/vectors.json holds examples for other languages.
//
// # Templates
//
// Text stands for itself, {column} for the column's value. A pair of braces
// around other braces is a hash tag of Redis Cluster and stays in the key:
// "cart:{{tenant}}:{id}" renders "cart:{7}:12", "cart:{{tenant}:{id}}:items"
// renders "cart:{7:12}:items". A backslash before a brace or a backslash makes
// it text. Between two columns stands at least one of : / | # or a brace, which
// no value contains: different rows never share a key.
//
// Modifiers follow the column, each after a bar. A column that holds neither
// integers nor text needs one that says what it holds, so that an application
// cannot mistake it:
//
//	{id}               integers, BIT, YEAR, text, ENUM and SET (labels)
//	{email|lower}      text in lower case, rune by rune
//	{email|fold}       text without case, accents and trailing spaces, for
//	                   lookups in a case-insensitive collation; see below
//	{code|trim}        text without trailing spaces
//	{uid|hex}          binary data in hexadecimal
//	{uid|uuid}         16 bytes of binary data as a UUID
//	{price|decimal}    DECIMAL without needless zeros: 12.50 is 12.5
//	{day|date}  {at|datetime}  {at|timestamp}  {at|time}
//	                   2026-01-02, 2026-01-02 03:04:05.6 as the source writes
//	                   it, the same in UTC, -3:04:05
//	{parent|null=skip}   a row with NULL here has no such key
//	{parent|null=token}  NULL is %N
//
// A nullable column needs one of the last two. FLOAT, DOUBLE and JSON have no
// exact text and are refused.
//
// In values, control characters, the space, DEL and % { } : / | # \ are written
// as % and two hexadecimal digits; everything else stays as it is. A value
// longer than 120 bytes becomes its first 80 bytes, less a character that would be
// cut, then "%H" and the first 128 bits of its SHA-256 in hexadecimal.
//
// # Collations
//
// No function of a few lines equals a collation. fold removes what Unicode
// compatibility decomposition shows to be accent or form, case, and trailing
// spaces. Two texts that a collation holds equal and fold does not are two keys:
// one row's change invalidates only its own spelling. Look such columns up by
// another key, or store them normalised.
//
// Read template.go first, then value.go (daemon) and args.go (application).
package cachekey
