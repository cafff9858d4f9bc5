// The second half of the script: slots and permits. It reads what the first half has set up.

export const SLOTS = `-- The slots.
local pending = {}
local stored = {}

local function oldest(i, n)
  local list = stored[i]
  if not list then
    list = { n = 0 }
    stored[i] = list
  end
  if n > list.n and not list.all then
    local more = redis.call('ZRANGE', KEYS[5 + i], list.n, list.n + 63)
    for j, member in ipairs(more) do list[list.n + j] = { cellIn(member), amountOf(member) } end
    list.n = list.n + #more
    list.all = #more < 64
  end
  return list[n]
end

local function fits(i, amount)
  local limit, account = ask.limits[i], accounts[i]
  local at = limit.paced and max(now, account.due) or now
  local room = max(0, limit.amount * (1 + 1e-9) - amount - account.held)
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
local may = #ask.first > 0 and not stranger and not rolledBack
may = may and (news.gate == 'open' or (news.gate == 'probing' and news.by == ask.id))
if may and state.from > now + tellMs then
  next = state.from
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
  while #slots < wanted do
    local amounts = #slots == 0 and ask.first or ask.each
    local at = now + max(0, #slots + 1 - ask.waiting) * ask.everyMs
    for i in ipairs(ask.limits) do
      if (amounts[i] or 0) > 0 then at = max(at, fits(i, amounts[i])) end
    end
    local over = at > now + horizon
    for i, limit in ipairs(ask.limits) do
      if (amounts[i] or 0) > 0 and limit.ends and at >= limit.ends then over = true end
    end
    if over then
      next = at
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
          local cell = cellOf(at, limit)
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
        end
      end
    end
    slots[#slots + 1] = at
  end
  local last = 0
  if #slots < ask.waiting and next >= 0 then last = next + horizon elseif #slots > 0 then last = slots[#slots] end
  if ask.waiting > 0 and last > now then state.crowdedTill = max(state.crowdedTill, last) end
end
for i, new in pairs(pending) do
  for _, entry in ipairs(new) do write(KEYS[5 + i], entry[1], entry[2]) end
end

local permits = -1
local rank = redis.call('ZRANK', joinKey, ask.id)
if ask.concurrent > 0 then
  local mine = tonumber(redis.call('HGET', permitKey, ask.id) or 0)
  local others = state.permits - mine
  local free = max(0, ask.concurrent - others)
  local part = floor(ask.concurrent / busy)
  local over = ask.concurrent % busy
  if (rank + over * floor(now / turnMs)) % busy < over then part = part + 1 end
  if free < min(ask.permits, part) then state.partsTill = now + partsMs end
  permits = min(ask.permits, free)
  if now < state.partsTill then permits = min(permits, part) end
  local kept = max(ask.inFlight, permits)
  state.permits = others + kept
  redis.call('HSET', permitKey, ask.id, kept)
end

local used, accepted = {}, {}
for i, account in ipairs(accounts) do
  used[i] = account.used + account.held
  accepted[i] = account.accepted
end
if ask.gone then drop(ask.id) end

local keep = 86400000
for _, limit in ipairs(ask.limits) do keep = max(keep, 2 * limit.windowMs) end
redis.call('SET', KEYS[1], cjson.encode(state), 'PX', floor(keep))
if state.seq % 64 == 1 then
  for i = 2, #KEYS do redis.call('PEXPIRE', KEYS[i], floor(keep)) end
end
return cjson.encode({
  now = now, base = state.base, since = rolledBack and since or nil, news = news, slots = slots, next = next,
  permits = permits, processes = processes, rank = rank, aheadMs = ahead, used = used, accepted = accepted,
  suspects = suspects,
})`
