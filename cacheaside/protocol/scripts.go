package protocol

// BeaconScript reads the beacon of a daemon beside the clock of its server. It
// returns the fields time and lag, "" for one that is not there, and the time of
// Redis in milliseconds.
const BeaconScript = `local beacon, now = redis.call('HMGET', KEYS[1], 'time', 'lag'), redis.call('TIME')
return {beacon[1] or '', beacon[2] or '', now[1] * 1000 + math.floor(now[2] / 1000)}`

// The scripts of readers. Each has one key, so it runs on one node of a cluster.
const (
	// GetOrLeaseScript takes a token, the lease in milliseconds and a generation
	// or "". It returns the entry and, in milliseconds, the time of Redis for the
	// caller's own lease, else what remains of the entry.
	GetOrLeaseScript = `local raw = redis.call('GET', KEYS[1])
local lease = 'L' .. ARGV[1]
local function stays()
  local kind = string.sub(raw, 1, 1)
  if kind ~= 'V' and kind ~= 'N' then return true end
  local flags, size, generation = string.sub(raw, 22, 22), 22, ''
  if flags < '0' or flags > '3' then return true end
  if flags == '1' or flags == '3' then
    generation, size = string.sub(raw, 23, 44), 44
  end
  if flags >= '2' then
    if not string.find(string.sub(raw, size + 1, size + 13), '^%d%d%d%d%d%d%d%d%d%d%d%d%d$') then return true end
    size = size + 13
  end
  if #raw < size or (kind == 'N' and #raw > size) then return true end
  return generation == ARGV[3]
end
if raw ~= lease then
  if raw and raw ~= '' and stays() then return {raw, redis.call('PTTL', KEYS[1])} end
  redis.call('SET', KEYS[1], lease, 'PX', ARGV[2])
end
local now = redis.call('TIME')
return {lease, now[1] * 1000 + math.floor(now[2] / 1000)}`

	// FillScript takes a token, an entry and its time to live in milliseconds,
	// and returns 1 if it stored the entry.
	FillScript = `if redis.call('GET', KEYS[1]) ~= 'L' .. ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`

	// ReleaseScript takes a token and returns 1 if it removed the lease.
	ReleaseScript = `if redis.call('GET', KEYS[1]) ~= 'L' .. ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`
)
