-- Mixed viewers, a third of them scrolling. TARGET: path; PAUSE: mean milliseconds between a connection's requests.
local target, pause = os.getenv("TARGET"), tonumber(os.getenv("PAUSE") or "0")
local headers = { ["Content-Type"] = "application/json" }

function init(args)
  math.randomseed(7)
end

function request()
  local user = math.random(1, 198200) -- the last are unknown
  if math.random() < 0.5 then user = math.random(1, 4000) end
  local body = '{"user_id":' .. user
  if math.random() < 0.33 then
    local ids = {}
    for i = 1, 24 * math.random(1, 5) do ids[i] = math.random(1, 6000) end
    body = body .. ',"excluded_ids":[' .. table.concat(ids, ",") .. "]"
  end
  return wrk.format("POST", target, headers, body .. "}")
end

if pause > 0 then
  function delay()
    return math.floor(2 * pause * math.random() + 0.5)
  end
end

function done(summary, latency, requests)
  local wrong = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":%d}\n', summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    wrong.connect + wrong.read + wrong.write + wrong.status + wrong.timeout))
end
