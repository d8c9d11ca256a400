package throttle

import (
	"math"
	"time"

	"github.com/redis/go-redis/v9"
)

// rule is a limit on the calls that are counted under a key.
type rule struct {
	key   string
	kind  string
	limit int // within the window
}

// Kinds of rules.
const (
	// delayRule allows limit calls in any window. After the free ones each further call must wait longer than the one before.
	delayRule = "delay"
	// bucketRule allows limit calls at once, and regains them evenly over the window.
	bucketRule = "bucket"
	// checkedBucketRule refuses when the bucket is empty, and takes nothing from it.
	checkedBucketRule = "checked"
)

// delayFactor is the ratio of a wait to the one before.
const delayFactor = 3

// delayAfter returns how long to wait after a number of failures.
func (l Limits) delayAfter(failures int) time.Duration {
	if failures < l.Free {
		return 0
	}
	return time.Duration(float64(l.Delay) * math.Pow(delayFactor, float64(min(failures-l.Free, 10))))
}

// countScript counts a call under each key, unless a rule refuses it; then it counts nothing. It returns the milliseconds to
// wait, 0 if the call was counted. Its arguments are the window, the free failures, the first delay and the factor, and then
// the kind and the limit of each key. It uses the server's clock, which all instances share.
var countScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local window, free, first, factor = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local wait, at = 0, {}
for i, key in ipairs(KEYS) do
  local kind, limit = ARGV[3 + 2 * i], tonumber(ARGV[4 + 2 * i])
  if kind == 'delay' then
    while true do
      local oldest = redis.call('LINDEX', key, -1)
      if not oldest or tonumber(oldest) > now - window then break end
      redis.call('RPOP', key)
    end
    local n = redis.call('LLEN', key)
    if n >= limit then
      wait = math.max(wait, tonumber(redis.call('LINDEX', key, limit - 1)) + window - now)
    elseif n >= free then
      wait = math.max(wait, tonumber(redis.call('LINDEX', key, 0)) + first * factor ^ math.min(n - free, 10) - now)
    end
  else
    at[i] = math.max(tonumber(redis.call('GET', key) or '0'), now)
    wait = math.max(wait, at[i] + window / limit - window - now)
  end
end
if wait > 0 then return math.max(1, math.ceil(wait)) end
for i, key in ipairs(KEYS) do
  local kind, limit = ARGV[3 + 2 * i], tonumber(ARGV[4 + 2 * i])
  if kind == 'delay' then
    redis.call('LPUSH', key, string.format('%.0f', now))
    redis.call('PEXPIRE', key, window)
  elseif kind == 'bucket' then
    local full = at[i] + window / limit
    redis.call('SET', key, string.format('%.3f', full), 'PX', math.max(1, math.ceil(full - now)))
  end
end
return 0`)

// undoScript takes the last counted call back. It has the arguments of countScript.
var undoScript = redis.NewScript(`
for i, key in ipairs(KEYS) do
  local kind, limit = ARGV[3 + 2 * i], tonumber(ARGV[4 + 2 * i])
  if kind == 'delay' then
    redis.call('LPOP', key)
  elseif kind == 'bucket' then
    local at = redis.call('GET', key)
    if at then redis.call('SET', key, string.format('%.3f', tonumber(at) - tonumber(ARGV[1]) / limit), 'KEEPTTL') end
  end
end
return 1`)

func keysOf(rules []rule) []string {
	keys := make([]string, len(rules))
	for i, r := range rules {
		keys[i] = r.key
	}
	return keys
}

func argumentsOf(l Limits, rules []rule) []any {
	args := []any{l.Window.Milliseconds(), l.Free, l.Delay.Milliseconds(), delayFactor}
	for _, r := range rules {
		args = append(args, r.kind, r.limit)
	}
	return args
}
