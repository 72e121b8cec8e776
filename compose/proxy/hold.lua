-- What the proxy does with requests that no version may answer now. The fields of an app's entry in routes.map are
-- described in adapters/haproxy/words.py.
local routes = Map.new("/etc/deployctl/routes.map", Map._str)
local messages = Map.new("/etc/deployctl/messages.map", Map._str)
local PAUSE = 10 -- milliseconds
local PART = 65536 -- bytes
-- HELD, WAIT and RETRY of a state. WAIT and RETRY are empty unless the app is in maintenance.
local TIMES = "^%a+:%a+:%-?%d+:%a+:%a+:(%d+):%d+:?(%d*):?(%d*)$"

local function milliseconds()
    local now = core.now()
    return now.sec * 1000 + now.usec / 1000
end

-- Lets a request wait while its app is held, and reads the state of the app again. HELD, the sixth field, is for how
-- many milliseconds a request waits at most; in maintenance WAIT, the eighth one, is.
core.register_action("hold", { "http-req" }, function(txn)
    local app = txn:get_var("txn.app")
    local started = milliseconds()
    while true do
        local state = routes:lookup(app) or "none"
        txn:set_var("txn.state", state)
        local held, wait = state:match(TIMES)
        if milliseconds() - started >= (tonumber(wait) or tonumber(held) or 0) then
            return
        end
        core.msleep(PAUSE)
    end
end, 0)

-- Answers a request of an app that is in maintenance, or one that was held for too long. First it reads the body to its
-- end: many clients read no answer before they have sent everything, and would report a broken connection. One that asks
-- first, with Expect, sends none.
core.register_service("unavailable", "http", function(applet)
    if not applet.headers["expect"] then
        repeat
            local part = applet:receive(PART)
        until not part or #part == 0
    end
    local retry = select(3, applet:get_var("txn.state"):match(TIMES)) or ""
    local text = "this app is being changed"
    if retry ~= "" then
        text = messages:lookup(applet:get_var("txn.app")) or "this app is in maintenance"
    end
    text = text:gsub("%%(%x%x)", function(byte)
        return string.char(tonumber(byte, 16))
    end)
    local body = text .. " (request " .. applet:get_var("txn.request") .. ")\n"
    applet:set_status(503)
    applet:add_header("Retry-After", retry ~= "" and retry or "5")
    applet:add_header("Content-Type", "text/plain; charset=utf-8")
    applet:add_header("Content-Length", tostring(#body))
    applet:start_response()
    if applet.method ~= "HEAD" then
        applet:send(body)
    end
end)
