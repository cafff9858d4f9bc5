-- Handles one request of a process to the store, in one atomic step on the clock of Redis. It implements the same
-- rules as `src/testing/reference-store/ledger.ts`. A test sends both the same requests and compares the answers.
--
-- `VERSION` and the constants of `LAW` in `protocol.ts` are prepended to this file as local variables of the same
-- names.
--
-- Members are stored in sorted sets, so that ten thousand processes cost no more than one. The log of a window is
-- a sorted set of cells (score: the cell, member: `cell:amount`). All keys of a limiter share a hash tag, so that
-- they are on one node of a cluster.
--
-- KEYS:
--  1 the state
--  2 present members, by the time of their last request
--  3 all members, by the order of joining
--  4 members, by the time at which calls last waited there
--  5 a hash: the permits of each member, the time of its last request (`heard:` …), its reserved share (`part:` …),
--    how long it is reserved (`keep:` …), what it was leased in ms of the rate (`served:` …), and how many processes
--    it knows of (`of:` …)
--  6 missing members, by the time until which their shares are reserved
--  7 members that did not get all they wanted, by what they were leased
--  8 … the log of each limit
-- The same keys follow again, for use when processes with another version are present.
-- ARGV: 1 the request, 2 a name for a new state, 3 the channel for news.

local clock = redis.call('TIME')
local time = clock[1] * 1000 + clock[2] / 1000
local max, min, floor, ceil = math.max, math.min, math.floor, math.ceil
local function num(x) return string.format('%.6f', x) end

-- Every version keeps `v`, `base` and `seen` in its state. The first version wrote no `v`. A state unused for a
-- minute is replaced.
local function otherVersion(saved)
  if type(saved) ~= 'string' then return nil end
  local ok, state = pcall(cjson.decode, saved)
  if not ok or type(state) ~= 'table' then return nil end
  local v = state.v or 1
  if v == VERSION or type(state.base) ~= 'number' or type(state.seen) ~= 'number' then return nil end
  return time - state.base - state.seen < keptMs and v or nil
end

local other = otherVersion(redis.pcall('GET', KEYS[1]))
local keys, channel = {}, ARGV[3]
for i = 1, #KEYS / 2 do keys[i] = KEYS[i + (other and #KEYS / 2 or 0)] end
if other then channel = channel .. ':v' .. VERSION end
local seenKey, joinKey, wantKey, permitKey, missKey, shortKey = keys[2], keys[3], keys[4], keys[5], keys[6], keys[7]

local function step()
  local ask = cjson.decode(ARGV[1])
  local saved = redis.call('GET', keys[1])
  local state = saved and cjson.decode(saved)
  if not state or (state.v or 1) ~= VERSION then
    for i = 1, #keys do redis.call('DEL', keys[i]) end
    state = {
      v = VERSION,
      base = time, seen = 0, seq = 0, alive = 0, kept = 0, before = { missing = 0, kept = 0 }, share = 1, crowdedTill = -1, reach = 0, reachTill = -1, rampFrom = 1, closedAt = -1,
      probeTill = 0, rampStart = -1e12, busyAt = ask.known > 0 and 0 or -1e12, expected = 0, untold = 0, joined = 0, from = -1e12,
      permits = 0, crowd = { foundAt = -1, finished = 0, patience = patience, grown = false }, partsTill = -1, least = 0, accounts = {}, evidence = { tickets = 0, refusals = 0, passing = false },
      news = { gen = ARGV[2], seq = 0, epoch = 1, gate = 'open', closing = { kind = 'rate', blamed = {}, told = false, tries = 0 }, refusals = 0, quota = { ['until'] = 0, known = false, by = '' }, ['until'] = 0, by = '', learned = {}, lesson = 0, most = 0 },
    }
  end
  local news = state.news

  -- A clock that was set back must not make every process wait.
  if time - state.base < state.seen - 1000 then state.base = time - state.seen end
  local now = max(time - state.base, state.seen)
  local prev = state.seen
  local passed = min(now - prev, missingMs + 1)
  state.alive = state.alive + passed
  state.seen = now
  state.seq = state.seq + 1
  news.seq = state.seq

  -- A process measures its silence from when it sent this request. If that is too long ago, it uses its own share by now.
  local late = 0
  if ask.gen == news.gen and ask.sentAt >= 0 then late = max(0, now - ask.sentAt - ask.lagMs / 2) end
  if late > missingMs + ask.lagMs then ask.alone, ask.first = true, {} end

  local function partOf(id) return tonumber(redis.call('HGET', permitKey, 'part:' .. id) or 0) end
  local function lose(id, till)
    redis.call('ZADD', missKey, num(till), id)
    redis.call('ZREM', shortKey, id)
    state.kept = state.kept + partOf(id)
  end
  local function found(id)
    if redis.call('ZREM', missKey, id) == 0 then return end
    state.kept = redis.call('ZCARD', missKey) > 0 and state.kept - partOf(id) or 0
  end

  local function drop(id)
    if redis.call('ZREM', joinKey, id) == 0 then return end
    state.expected = state.expected - 1
    redis.call('ZREM', seenKey, id)
    found(id)
    redis.call('ZREM', wantKey, id)
    redis.call('ZREM', shortKey, id)
    local permits = redis.call('HGET', permitKey, id)
    if permits then
      state.permits = state.permits - permits
      redis.call('HDEL', permitKey, id)
    end
    redis.call('HDEL', permitKey, 'heard:' .. id, 'part:' .. id, 'keep:' .. id, 'of:' .. id, 'served:' .. id)
  end

  if now - prev > forgottenMs and ask.declared == 0 then
    redis.call('DEL', seenKey, joinKey, wantKey, permitKey, missKey, shortKey)
    state.permits, state.kept = 0, 0
  end
  -- Starts with a write that a store out of memory refuses, so that nothing is left half done.
  redis.call('ZADD', seenKey, num(state.alive + ask.lagMs - late), ask.id)
  for _, id in ipairs(ask.dead) do if id ~= ask.id then drop(id) end end
  if not redis.call('ZRANK', joinKey, ask.id) then
    state.joined = state.joined + 1
    redis.call('ZADD', joinKey, state.joined, ask.id)
  end
  found(ask.id)
  if ask.alone then redis.call('ZREM', seenKey, ask.id) end
  local stranger = ask.gen ~= '' and ask.gen ~= news.gen
  local heard = redis.call('HGET', permitKey, 'heard:' .. ask.id)
  local since = tonumber(heard or prev)
  local tells = false
  if stranger then
    state.untold = state.untold + 1
  else
    redis.call('HSET', permitKey, 'heard:' .. ask.id, num(now))
    if not heard and ask.gen ~= '' then
      state.untold = state.untold - 1
      tells = state.untold == 0
    end
  end
  if ask.waiting > 0 then redis.call('ZADD', wantKey, num(now), ask.id) else redis.call('ZREM', shortKey, ask.id) end
  -- A process that was silent for a while is missing. Its share is reserved if it has one. Otherwise it is gone.
  local silent = redis.call('ZRANGEBYSCORE', seenKey, '-inf', '(' .. num(state.alive - missingMs), 'WITHSCORES')
  for i = 1, #silent, 2 do
    local id, seen = silent[i], tonumber(silent[i + 1])
    local keep = tonumber(redis.call('HGET', permitKey, 'keep:' .. id) or 0)
    redis.call('ZREM', seenKey, id)
    if keep > missingMs then lose(id, seen + keep) else drop(id) end
  end
  local released = 0
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', missKey, '-inf', '(' .. num(state.alive))) do
    if redis.call('ZCARD', joinKey) <= ask.declared then break end
    released = released + partOf(id)
    drop(id)
  end
  local processes = redis.call('ZCARD', joinKey)
  local told = tonumber(redis.call('HGET', permitKey, 'of:' .. ask.id) or processes)
  local part = ask.keepMs > 0 and 1 / max(ask.declared, min(told, processes)) or 0
  redis.call('HSET', permitKey, 'of:' .. ask.id, processes, 'keep:' .. ask.id, num(ask.keepMs), 'part:' .. ask.id, string.format('%.14g', part))
  if ask.alone then lose(ask.id, state.alive + ask.keepMs) end
  local missing = redis.call('ZCARD', missKey)
  local suspects = redis.call('ZRANGE', missKey, 0, 7)
  if missing < 8 then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', seenKey, '-inf', '(' .. num(state.alive - suspectMs), 'LIMIT', 0, 8 - missing)) do
      suspects[#suspects + 1] = id
    end
  end
  local kept = state.kept
  local busy = max(1, redis.call('ZCOUNT', wantKey, '(' .. num(now - 1000), '+inf'))
  if stranger then state.expected = max(state.expected, ask.known) end
  if now < keptMs then
    local lost = max(0, state.expected - processes)
    missing = missing + lost
    processes = processes + lost
    kept = kept + lost / processes
  end
  local rolledBack = not stranger and ask.heard > since + sameMs
  local ahead = max(aheadMs, reserve * processes / questionsPerMs)
  -- All processes lease as far ahead as the furthest one. Otherwise that one would take everything.
  local wished = max(ahead, ask.aheadMs)
  if wished >= state.reach or now > state.reachTill then
    state.reach = wished
    state.reachTill = now + reachMs
  end
  local horizon = state.reach
  local held = max(horizon, ask.heldMs)
  if ask.known > 1 then
    if stranger and now < held then state.from = held end
    if rolledBack and now >= state.from then state.from = now + held end
  end
  if tells and missing == 0 then state.from = min(state.from, now) end
  local left = 1 - kept
  local share = left < leastShare and state.share or left
  local quiet = now > state.crowdedTill and missing == 0 and news.gate == 'open'

  local function cellOf(at, limit) return floor((at / limit.windowMs) * cells) end
  local function leaves(cell, limit) return ((cell + 1) * limit.windowMs) / cells + limit.windowMs end
  local function amountOf(member) return tonumber(string.match(member, ':(.*)$')) end
  local function cellIn(member) return tonumber(string.match(member, '^(.-):')) end

  local function write(key, cell, change)
    local found = redis.call('ZRANGEBYSCORE', key, cell, cell)[1]
    local amount = change
    if found then
      amount = amount + amountOf(found)
      redis.call('ZREM', key, found)
    end
    redis.call('ZADD', key, cell, string.format('%d:%.14g', cell, amount))
  end

  -- The calls of processes whose shares are no longer reserved leave the window gradually.
  local function fadingPart(one) return min(1, max(0, (one.till - now) / (one.till - one.from))) end
  local function unheard(account)
    local sum = account.held
    for _, one in ipairs(account.fading) do sum = sum + one.amount * fadingPart(one) end
    return sum
  end
  local function fade(account, amount, ms, windowMs)
    account.held = account.held - amount
    local last = #account.fading >= 8 and table.remove(account.fading)
    if last then amount = amount + last.amount * fadingPart(last) end
    local from = now + windowMs - min(ms, windowMs)
    table.insert(account.fading, { amount = amount, from = from, till = now + windowMs })
  end

  -- Times of another state are meaningless here.
  if ask.gen ~= news.gen or rolledBack then ask.amend, ask.past = {}, {} end

  local accounts = {}
  local order = ask.order < 0 and time or ask.order
  for i, limit in ipairs(ask.limits) do
    local account = state.accounts[limit.key]
    if not account then
      account = { due = ask.known > 0 and now or -1e12, even = -1e12, seen = now, used = 0, accepted = 0, held = 0, fading = {}, day = '' }
      if ask.known > 0 then account.even = now + (limit.paced and (limit.burst - 1) / limit.rate or 0) end
      state.accounts[limit.key] = account
    end
    accounts[i] = account
    if limit.day and limit.day > account.day then
      account.day = limit.day
      account.used = 0
    end
    -- All processes follow the newest limit among those present.
    if not account.by or order >= account.order or not redis.call('ZRANK', joinKey, account.by) then
      account.by, account.order, account.configured, account.burst = ask.id, order, limit.configured, limit.burst
    elseif account.configured ~= limit.configured then
      local scale = account.configured / limit.configured
      limit.amount = limit.amount * scale
      limit.rate = limit.rate * scale
      if limit.burst ~= 1 then limit.burst = account.burst end
    end
    if limit.windowMs > 0 then
      -- The latest cell that may have left; the search ends at the exact one.
      local last = floor(((now - limit.windowMs) / limit.windowMs) * cells)
      while leaves(last, limit) > now do last = last - 1 end
      local old = redis.call('ZRANGEBYSCORE', keys[7 + i], '-inf', last)
      if #old > 0 then
        for _, member in ipairs(old) do account.used = account.used - amountOf(member) end
        redis.call('ZREMRANGEBYSCORE', keys[7 + i], '-inf', last)
        if redis.call('ZCARD', keys[7 + i]) == 0 then account.used = 0 end
      end
    end
  end

  for _, entry in ipairs(ask.past) do
    for i, limit in ipairs(ask.limits) do
      if limit.key == entry[1] then
        local account, at, amount = accounts[i], min(entry[2], now + held), entry[3]
        account.accepted = account.accepted + amount
        if limit.windowMs == 0 or leaves(cellOf(at, limit), limit) > now then
          account.used = account.used + amount
          if limit.windowMs > 0 then write(keys[7 + i], cellOf(at, limit), amount) end
          if limit.paced then
            local due = min(at + amount / limit.rate, now + limit.windowMs)
            account.due = max(account.due, due)
            account.even = max(account.even, due)
            local rest = amount - account.held
            account.held = max(0, account.held - amount)
            for _, one in ipairs(account.fading) do
              local part = fadingPart(one)
              if rest > 0 and part > 0 then
                local less = min(rest, one.amount * part)
                one.amount = one.amount - less / part
                rest = rest - less
              end
            end
          end
        end
        break
      end
    end
  end

  for _, entry in ipairs(ask.amend) do
    for i, limit in ipairs(ask.limits) do
      if limit.key == entry[1] then
        local account, difference = accounts[i], entry[3]
        local change = difference
        if limit.windowMs == 0 then
          change = max(change, -account.used)
        else
          local cell = cellOf(entry[2], limit)
          if leaves(cell, limit) <= now then
            change = 0
          else
            local found = redis.call('ZRANGEBYSCORE', keys[7 + i], cell, cell)[1]
            change = max(change, -(found and amountOf(found) or 0))
            if change ~= 0 then write(keys[7 + i], cell, change) end
          end
        end
        account.used = account.used + change
        account.accepted = account.accepted + difference
        if limit.paced then
          account.due = min(account.due + difference / limit.rate, now + limit.windowMs)
          account.even = min(account.even + difference / limit.rate, now + limit.windowMs)
        end
        break
      end
    end
  end

  -- In any span, missing processes send at most this many more calls than their share of it.
  local function runAhead(m, k) return m * max(0, 1 - k) end
  local before = state.before

  for i, limit in ipairs(ask.limits) do
    local account = accounts[i]
    account.accepted = account.accepted - (ask.refused[i] or 0)
    local part = limit.rate * kept
    local fading = {}
    for _, one in ipairs(account.fading) do
      if one.till > now then fading[#fading + 1] = one end
    end
    account.fading = fading
    if limit.paced then
      if released > 0 and account.held > 0 then
        local amount = account.held * min(1, released / before.kept)
        fade(account, amount, amount / (limit.rate * released), limit.windowMs)
      end
      local ahead = limit.key:find('^requests/') and max(0, runAhead(missing, kept) - runAhead(before.missing, before.kept)) or 0
      account.held = min(account.held + part * passed + ahead, part * limit.windowMs)
    elseif kept < before.kept then
      account.held = account.held * kept / before.kept
    else
      account.held = account.held + max(0, limit.amount - account.used - account.held) * (kept - before.kept)
    end
    local from = max(now, state.from)
    local early = account.even - max(account.due, from)
    if account.due > from then account.due = from + (account.due - from) * state.share / share end
    account.even = max(account.due, from) + early
    if limit.paced then
      local credit = max(latenessMs, account.seen - account.due)
      if quiet then
        credit = (limit.burst - 1) / (limit.rate * share)
        account.seen = now
      end
      account.due = min(max(account.due, now - credit), now + limit.windowMs)
    end
    if state.from <= now + tellMs then account.due = max(account.due, state.from) end
  end
  state.before = { missing = missing, kept = kept }
  state.share = share

  -- The gate.
  local was = state.seq > 1 and news.epoch .. news.gate .. news.lesson .. ' ' .. num(news.quota['until'])
  if ask.learned then
    news.learned = ask.learned
    news.lesson = news.lesson + 1
  end
  if ask.quota then
    news.quota = { ['until'] = ask.quota.forMs > 0 and now + ask.quota.forMs or 0, known = ask.quota.known, by = ask.id }
  end
  -- A process that has not received the closing yet reports about the time before it.
  local evidence, timely = state.evidence, ask.heard >= state.closedAt
  evidence.tickets = evidence.tickets + ask.evidence.tickets
  if timely then
    evidence.refusals = evidence.refusals + ask.evidence.refusals
    evidence.passing = evidence.passing or ask.evidence.passing
  end
  if ask.close and (news.gate == 'open' or ask.close.sentAt >= state.closedAt) then
    news.epoch = news.epoch + 1
    news.gate = 'closed'
    news.closing = ask.close.closing
    news['until'] = now + ask.close.forMs
    news.by = ''
    news.refusals = evidence.refusals
    evidence.passing = false
    state.closedAt = now
  end
  -- The number of calls in flight: the rules of `limit-set.ts`, for all processes together.
  local crowd, unknown, mine = state.crowd, news.most == 0, tonumber(redis.call('HGET', permitKey, ask.id) or 0)
  if not unknown and tonumber(heard or -1) < crowd.foundAt then
    -- Its calls in flight beyond those that it had reported were accepted, too.
    news.most = news.most + max(0, ask.inFlight - mine)
  elseif ask.tooMany > 0 then
    if unknown and ask.concurrent == 0 then
      news.most = max(1, state.permits - mine + ask.inFlight)
      crowd.foundAt = now
    else
      local most = unknown and ask.concurrent or news.most
      news.most = max(1, min(most, state.permits) - ask.tooMany)
    end
    crowd.patience = crowd.grown and min(2 * crowd.patience, mostPatience) or patience
    crowd.grown = false
    crowd.finished = 0
  elseif not unknown then
    crowd.finished = crowd.finished + ask.ended
    if crowd.finished > crowd.patience * news.most and state.permits >= news.most then
      crowd.finished = 0
      crowd.grown = true
      news.most = news.most + 1
    end
  end
  if news.gate == 'probing' and news.by ~= ask.id and now > state.probeTill then news.gate = 'closed' end
  if news.gate == 'probing' and news.by == ask.id then
    state.probeTill = now + probeMs
    if ask.open or ask.retreat then
      news.gate = ask.open and 'open' or 'closed'
      news.by = ''
    end
    if ask.open then
      state.rampStart = now
      state.rampFrom = resumeAt
      state.crowdedTill = now + 1000
      -- The rate was just lowered, which also applies to the probe.
      for i, limit in ipairs(ask.limits) do
        local amount = ask.each[i] or 0
        if limit.paced and amount > 0 then accounts[i].due = max(accounts[i].due, accounts[i].seen + amount / limit.rate) end
      end
    end
  elseif ask.claim and news.gate == 'closed' and now >= news['until'] - latenessMs then
    news.gate = 'probing'
    news.by = ask.id
    state.probeTill = now + probeMs
  end
  if news.epoch .. news.gate .. news.lesson .. ' ' .. num(news.quota['until']) ~= was and news.gate ~= 'probing' or unknown and news.most > 0 then
    redis.call('PUBLISH', channel, cjson.encode({ news, now, VERSION }))
  end

  -- Slots.
  local pending = {}
  local stored = {}

  local function oldest(i, n)
    local list = stored[i]
    if not list then
      list = { n = 0 }
      stored[i] = list
    end
    if n > list.n and not list.all then
      local more = redis.call('ZRANGE', keys[7 + i], list.n, list.n + 63)
      for j, member in ipairs(more) do list[list.n + j] = { cellIn(member), amountOf(member) } end
      list.n = list.n + #more
      list.all = #more < 64
    end
    return list[n]
  end

  local function fits(i, amount)
    local limit, account = ask.limits[i], accounts[i]
    local at = limit.paced and max(now, account.due) or now
    local room = max(0, limit.amount * (1 + 1e-9) - amount - unheard(account))
    local used = account.used
    if used <= room then return at end
    if limit.windowMs == 0 then return max(at, limit.ends or now) end
    local new = pending[i] or {}
    local a, b = 1, 1
    while true do
      local one, two = oldest(i, a), new[b]
      local cell
      if one and (not two or one[1] <= two[1]) then
        cell, used, a = one[1], used - one[2], a + 1
      elseif two then
        cell, used, b = two[1], used - two[2], b + 1
      else
        return at
      end
      if used <= room then return max(at, leaves(cell, limit)) end
    end
  end

  local function stretch(ms, at)
    local left = state.rampStart + ask.ramp.ms - at
    if left <= 0 or ms <= 0 then return ms end
    local part = 1 - (1 - state.rampFrom) * left / ask.ramp.ms
    return min(ms / part, ms + (1 - part) * left / 2)
  end

  local slots, next = {}, -1
  local may = #ask.first > 0 and not stranger and not rolledBack and left >= leastShare
  may = may and (news.gate == 'open' or (news.gate == 'probing' and news.by == ask.id))
  if may and state.from > now + tellMs then
    next = now + tellAgainMs
  elseif may then
    if now - state.busyAt > quietMs then
      state.rampStart = now
      state.rampFrom = ask.ramp.from
    end
    state.busyAt = now
    local spacing = 0
    for i, limit in ipairs(ask.limits) do
      if limit.paced then spacing = max(spacing, (ask.each[i] or 0) / (limit.rate * share)) end
    end
    local wanted = news.gate == 'open' and 1 + ask.more or 1
    if busy > 1 and spacing > 0 then wanted = min(wanted, max(1, ceil(2 * horizon / (busy * spacing)))) end
    -- Fair turns: a process that had more than the least served one gets slots less far ahead.
    local most = 2 * max(spacing, (2 * horizon) / busy)
    local served = max(state.least, tonumber(redis.call('HGET', permitKey, 'served:' .. ask.id) or 0))
    local poorest = redis.call('ZRANGE', shortKey, 0, 0, 'WITHSCORES')[2]
    state.least = max(state.least, min(poorest and tonumber(poorest) or served, served))
    served = min(served, state.least + most)
    local reach = horizon * (1 - turn * (served - state.least) / most)
    -- A process that asks only for spare slots leaves room for the others.
    if ask.waiting == 0 and busy > 1 then reach = min(reach, spareAheadMs + ask.fromMs) end
    local last = now
    while #slots < wanted do
      local amounts = #slots == 0 and ask.first or ask.each
      local hold = #slots * ask.lot < ask.waiting and 0 or spareMs
      local at = now + ask.fromMs
      for i in ipairs(ask.limits) do
        if (amounts[i] or 0) > 0 then at = max(at, fits(i, amounts[i])) end
      end
      local over = at > now + reach
      local till = at + hold
      for i, limit in ipairs(ask.limits) do
        if (amounts[i] or 0) > 0 and limit.ends and till >= limit.ends then over = true end
      end
      if over then
        next = at - reach
        if hold == 0 then last = at + horizon end
        break
      end
      for i, limit in ipairs(ask.limits) do
        local amount = amounts[i] or 0
        if amount > 0 then
          local account = accounts[i]
          account.used = account.used + amount
          account.accepted = account.accepted + amount
          account.seen = max(account.seen, at)
          if limit.windowMs > 0 then
            local new = pending[i] or {}
            pending[i] = new
            local cell = cellOf(till, limit)
            if #new > 0 and new[#new][1] == cell then
              new[#new][2] = new[#new][2] + amount
            else
              new[#new + 1] = { cell, amount }
            end
          end
          if limit.paced then
            local step = amount / (limit.rate * share)
            local behind = min(step, max(0, at - account.due))
            account.due = account.due + behind + stretch(step - behind, at)
            account.even = max(account.even, at) + step
          end
        end
      end
      slots[#slots + 1] = at
      last = at
      served = served + spacing
    end
    redis.call('HSET', permitKey, 'served:' .. ask.id, num(served))
    if #slots * ask.lot < ask.waiting then redis.call('ZADD', shortKey, num(served), ask.id) else redis.call('ZREM', shortKey, ask.id) end
    if ask.waiting > 0 and last > now then state.crowdedTill = max(state.crowdedTill, last) end
  end
  for i, new in pairs(pending) do
    for _, entry in ipairs(new) do write(keys[7 + i], entry[1], entry[2]) end
  end

  local permits = -1
  local rank = redis.call('ZRANK', joinKey, ask.id)
  local others, kept = state.permits - mine, ask.inFlight
  local most = ask.concurrent > 0 and ask.concurrent or news.most
  if news.most > 0 then most = min(most, news.most) end
  if most > 0 then
    local free = max(0, most - others)
    local part = floor(most / busy)
    local over = most % busy
    if (rank + over * floor(now / turnMs)) % busy < over then part = part + 1 end
    if free < min(ask.permits, part) then state.partsTill = now + partsMs end
    permits = min(ask.permits, free)
    if now < state.partsTill then permits = min(permits, part) end
    kept = max(kept, permits)
  end
  local permitted = others + kept
  state.permits = permitted
  redis.call('HSET', permitKey, ask.id, kept)

  local used, accepted, followed, early = {}, {}, {}, {}
  for i, account in ipairs(accounts) do
    used[i] = account.used + unheard(account)
    accepted[i] = account.accepted
    followed[i] = account.configured
    early[i] = max(0, account.even - max(account.due, now))
  end
  if ask.gone then drop(ask.id) end

  local keep = 86400000
  for _, limit in ipairs(ask.limits) do keep = max(keep, 2 * limit.windowMs) end
  redis.call('SET', keys[1], cjson.encode(state), 'PX', floor(keep))
  if state.seq % 64 == 1 then
    for i = 2, #keys do redis.call('PEXPIRE', keys[i], floor(keep)) end
  end
  return {
    now = now, base = state.base, since = rolledBack and since or nil, news = news, slots = slots, next = next,
    permits = permits, permitted = permitted, processes = processes, rank = rank, aheadMs = ahead, reachMs = horizon, used = used, accepted = accepted,
    suspects = suspects, evidence = evidence, order = order, followed = followed, early = early, otherVersion = other,
  }
end

-- Foreign data in our keys is deleted. An error of Redis itself (out of memory, read-only, …) occurs at the first
-- write, before anything is half done, and is returned to the process.
local function isForeign(message)
  return message:find('WRONGTYPE') or message:find('attempt to') or message:find('Expected') or message:find('bad argument')
end

local ok, answer = pcall(step)
if not ok then
  local message = type(answer) == 'table' and answer.err or tostring(answer)
  if not isForeign(message) then return redis.error_reply(message) end
  for i = 1, #keys do redis.call('DEL', keys[i]) end
  answer = step()
  answer.discarded = message
end
return cjson.encode(answer)
