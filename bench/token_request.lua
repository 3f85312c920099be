-- wrk script: client_credentials requests with client_secret_post, for one client or for many.
-- FORM holds the body without the credentials. CLIENTS names a file of lines "client_id<TAB>client_secret", both
-- in the characters that need no escaping. One line: one constant request, which costs wrk nothing. Many: each
-- request is of a client drawn at random, seeded by SEED; what the drawing costs counts against the server.
-- PORTS: ports of 127.0.0.1, a thread of wrk for each; empty: all threads ask the URL. PAUSE_MS: each connection waits
-- so long before a request, on the average; the pauses are drawn, so that the connections do not march in step.
-- Prints its figures as one line of JSON, the last of the output.

local bodies, requests = {}, {}

for line in io.lines(os.getenv("CLIENTS")) do
  local client_id, client_secret = line:match("^(.-)\t(.+)$")
  bodies[#bodies + 1] = os.getenv("FORM") .. "&client_id=" .. client_id .. "&client_secret=" .. client_secret
end

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.body = bodies[1]

local function format_requests()
  for n, body in ipairs(bodies) do
    requests[n] = wrk.format(nil, nil, nil, body)
  end
  math.randomseed(tonumber(os.getenv("SEED")))
end

local function draw_request()
  return requests[math.random(#requests)]
end

if #bodies > 1 then
  init, request = format_requests, draw_request
end

local ports, threads = {}, 0
for port in (os.getenv("PORTS") or ""):gmatch("%d+") do
  ports[#ports + 1] = port
end

function setup(thread)
  threads = threads + 1
  if #ports > 0 then
    thread.addr = wrk.lookup("127.0.0.1", ports[threads])[1]
  end
end

local pause_ms = tonumber(os.getenv("PAUSE_MS")) or 0

if pause_ms > 0 then
  function delay()
    return math.floor(-pause_ms * math.log(1 - math.random()) + 0.5)
  end
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "refused": %d, "broken": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
