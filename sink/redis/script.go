package redis

import (
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// writeBeacon is the one way by which a beacon changes.
//
// KEYS[1]: the beacon. ARGV[1]: the mark it must have, "" for none; ARGV[2..]:
// fields and values to set. It returns {"1"} or {"0", mark, term} of what is
// there instead. Time is text throughout: numbers of Lua are doubles. A server
// out of memory must take it, or deletes, which make room, would end with it.
var writeBeacon = goredis.NewScript(`#!lua flags=allow-oom
local have = redis.call('HMGET', KEYS[1], 'mark', 'term')
if (have[1] or '') ~= ARGV[1] then
  return {'0', have[1] or '', have[2] or ''}
end
local t = redis.call('TIME')
local set = {'time', t[1] .. string.sub('000000' .. t[2], -6, -4)}
for i = 2, #ARGV do
  set[#set + 1] = ARGV[i]
end
redis.call('HSET', KEYS[1], unpack(set))
return {'1'}
`)

// forgotten tells that the server does not know the script, as after a restart, a
// failover or SCRIPT FLUSH. It comes with the script once more then.
func forgotten(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") }
