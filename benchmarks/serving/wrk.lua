-- Sends the requests of a file one after the other, and compares every answer with the right ones of another file.
-- It is told the files by their folder: requests (each is its length, a line end, and its bytes) and answers (the same:
-- an answer, then how often it is right among the requests, as text), and before (what stands before the predictions).
local requests, known, before, anything, sent = {}, {}, nil, false, 0
errors, wrong, said, seen, shares = 0, 0, "", {}, {} -- global: `done` asks the thread for them

local function pieces(path)
  local found, file = {}, assert(io.open(path, "rb"))
  while true do
    local length = file:read("*l")
    if not length then break end
    found[#found + 1] = tonumber(length) > 0 and file:read(tonumber(length)) or ""
  end
  file:close()
  return found
end

function setup(thread)
  the_thread = thread
end

function init(args)
  local folder = args[1]
  requests = pieces(folder .. "/requests")
  local answers = pieces(folder .. "/answers")
  for i = 1, #answers, 2 do
    known[answers[i]] = answers[i]
    shares[answers[i]] = tonumber(answers[i + 1])
    seen[answers[i]] = 0
  end
  before = pieces(folder .. "/before")[1]
  anything = #answers == 0
end

function request()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end

-- the predictions of an answer whose other parts are new each time
local function plain(body)
  local _, stop = body:find(before, 1, true)
  local list = body:match("^%s*(%b[])", (stop or 0) + 1)
  return list and list:gsub("%s", "")
end

function response(status, headers, body)
  if status ~= 200 then
    errors = errors + 1
    if said == "" then said = status .. ": " .. body:sub(1, 300) end
  elseif not anything then
    local answer = known[body]
    if not answer then
      answer = known[plain(body) or ""]
    end
    if answer then
      seen[answer] = seen[answer] + 1
    else
      wrong = wrong + 1
      if said == "" then said = "not a right answer to anything: " .. body:sub(1, 300) end
    end
  end
end

local function text(value)
  return '"' .. value:gsub('[%c"\\]', " ") .. '"'
end

function done(summary, latency, _)
  local failed, parts = summary.errors, {}
  local seen, shares = the_thread:get("seen"), the_thread:get("shares")
  for answer, count in pairs(seen) do
    parts[#parts + 1] = string.format("[%d,%d]", count, shares[answer])
  end
  io.write(string.format(
    '\n{"answered":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":%d,"wrong":%d,"said":%s,"seen":[%s]}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    the_thread:get("errors") + failed.connect + failed.read + failed.write + failed.timeout,
    the_thread:get("wrong"), text(the_thread:get("said")), table.concat(parts, ",")))
end
