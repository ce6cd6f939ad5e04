-- Asks Gatekeeper whether a request may pass (forward auth), for HAProxy 2.6 and newer.
--
--   global
--       lua-load-per-thread /etc/haproxy/gatekeeper.lua
--   frontend …
--       http-request lua.gatekeeper unless { path_beg /_gate/ }
--
-- Settings, as environment variables of HAProxy (`setenv` in global, before lua-load):
--   GATEKEEPER_URL       where Gatekeeper listens (http://127.0.0.1:8080)
--   GATEKEEPER_PREFIX    `prefix` of its configuration (/_gate)
--   GATEKEEPER_IDENTITY  the headers of `identity`, separated by spaces

local url = os.getenv("GATEKEEPER_URL") or "http://127.0.0.1:8080"
local prefix = os.getenv("GATEKEEPER_PREFIX") or "/_gate"
local identity = os.getenv("GATEKEEPER_IDENTITY")
    or "Remote-User Remote-Name Remote-Email Remote-Groups X-Gatekeeper-Assertion"

local TIMEOUT = 4000 -- milliseconds, for each of two attempts

-- What Gatekeeper judges by, besides the address.
local ASKED = {
    "cookie", "accept", "origin", "referer", "sec-fetch-mode", "sec-fetch-dest", "sec-purpose", "purpose",
    "x-requested-with", "sec-websocket-key", "sec-websocket-version",
}

local function plain(name)
    return (name:lower():gsub("[^%w]", "-"))
end

local identity_names = {}
for name in identity:gmatch("%S+") do
    identity_names[plain(name)] = name
end

-- Other names under which applications believe who or what a request is.
local forgeries = {}
for name in ([[x-remote-user x-webauth-user forwarded x-forwarded x-original-forwarded-for x-real-ip
    x-client-ip x-cluster-client-ip true-client-ip client-ip cf-connecting-ip fastly-client-ip
    x-http-host-override x-original-url x-original-uri x-original-method x-original-host x-rewrite-url x-host
    x-request-id proxy x-http-method-override x-http-method x-method-override]]):gmatch("%S+") do
    forgeries[name] = true
end

local function forged(name)
    local found = plain(name)
    return identity_names[found] or forgeries[found] or found:find("^x%-forwarded%-")
        or found:find("^x%-gatekeeper%-") or found:find("^x%-auth%-request%-")
        or (found == "cookie" and name:lower() ~= "cookie") or (found == "host" and name:lower() ~= "host")
end

local function values(headers, name)
    local found = {}
    local index = 0
    while headers[name] and headers[name][index] do
        found[#found + 1] = headers[name][index]
        index = index + 1
    end
    return found
end

local function make_reply(txn, status, headers, body)
    local reply = txn:reply()
    reply:set_status(status)
    for _, header in ipairs(headers) do
        reply:add_header(header[1], header[2])
    end
    reply:set_body(body)
    return reply
end

local HOP_BY_HOP = {
    ["connection"] = true, ["keep-alive"] = true, ["transfer-encoding"] = true, ["content-length"] = true,
}

-- The answer for the browser is Gatekeeper's own: its page, its redirect or its JSON.
local function relay(txn, answer)
    local headers = {}
    for name, lines in pairs(answer.headers or {}) do
        if not HOP_BY_HOP[name:lower()] then
            for _, value in pairs(lines) do
                headers[#headers + 1] = { name, value }
            end
        end
    end
    return make_reply(txn, answer.status, headers, answer.body or "")
end

local function undecided(txn, why)
    txn:Warning("gatekeeper: " .. why)
    return make_reply(txn, 503, {
        { "content-type", "text/plain; charset=utf-8" },
        { "cache-control", "no-store" },
        { "retry-after", "5" },
    }, "Whether you may see this page cannot be found out just now. Please try again in a few seconds.\n")
end

-- The request target as the application gets it, without scheme and host when the client sent those.
local function target(txn)
    local found = txn.sf:url()
    if found:find("^/") then
        return found
    end
    return (found:gsub("^%a+://[^/?]*", ""))
end

-- Prepares the request for the application; or, when it may not pass, returns what the browser gets.
local function ask(txn)
    local tls = tostring(txn.f:ssl_fc())
    local sent = txn.http:req_get_headers()
    local question = {
        ["x-forwarded-method"] = { txn.sf:method() },
        ["x-forwarded-proto"] = { (tls == "1" or tls == "true") and "https" or "http" },
        ["x-forwarded-host"] = { txn.sf:req_fhdr("host") or "" },
        ["x-forwarded-uri"] = { target(txn) },
        ["x-forwarded-for"] = { txn.sf:src() or "" },
    }
    for _, name in ipairs(ASKED) do
        local lines = values(sent, name)
        if #lines > 0 then
            question[name] = { table.concat(lines, name == "cookie" and "; " or ", ") }
        end
    end

    -- Asking twice changes nothing: a connection that was lost is no reason for a 503.
    local answer
    for _ = 1, 2 do
        local client = core.httpclient()
        answer = client:get({ url = url .. prefix .. "/auth/haproxy", headers = question, timeout = TIMEOUT })
        if answer and answer.status and answer.status ~= 0 then
            break
        end
    end
    if not answer or not answer.status or answer.status == 0 then
        return undecided(txn, "no answer from " .. url)
    end
    if answer.status ~= 200 then
        if answer.status < 300 then -- only 200 is a yes
            return undecided(txn, "unexpected answer " .. answer.status)
        end
        return relay(txn, answer)
    end

    for name in pairs(sent) do
        if forged(name) then
            txn.http:req_del_header(name)
        end
    end
    txn.http:req_del_header("cookie")
    local given = {}
    for name, lines in pairs(answer.headers) do
        given[name:lower()] = lines
    end
    for found, name in pairs(identity_names) do
        for _, value in pairs(given[found] or {}) do
            txn.http:req_add_header(name, value)
        end
    end
    for _, value in pairs(given["cookie"] or {}) do
        txn.http:req_add_header("Cookie", value)
    end
    txn.http:req_set_header("X-Forwarded-For", question["x-forwarded-for"][1])
    txn.http:req_set_header("X-Forwarded-Proto", question["x-forwarded-proto"][1])
    txn.http:req_set_header("X-Forwarded-Host", question["x-forwarded-host"][1])
end

-- Whatever goes wrong in here must not let a request pass.
core.register_action("gatekeeper", { "http-req" }, function(txn)
    local ok, reply = pcall(ask, txn)
    if not ok then
        reply = undecided(txn, tostring(reply))
    end
    if reply then
        txn:done(reply)
    end
end)
