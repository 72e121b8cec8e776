-- Lets a request wait while its app is held, and reads the state of the app again. HELD, the sixth field of the app's
-- entry in routes.map, is for how many milliseconds a request waits at most; in maintenance WAIT, the eighth one, is.
local routes = Map.new("/etc/deployctl/routes.map", Map._str)
local PAUSE = 10 -- milliseconds

local function milliseconds()
    local now = core.now()
    return now.sec * 1000 + now.usec / 1000
end

core.register_action("hold", { "http-req" }, function(txn)
    local app = txn:get_var("txn.app")
    local started = milliseconds()
    while true do
        local state = routes:lookup(app) or "none"
        txn:set_var("txn.state", state)
        local held, wait = state:match("^%a+:%a+:%d+:%a+:%a+:(%d+):%d+:?(%d*)")
        if milliseconds() - started >= (tonumber(wait) or tonumber(held) or 0) then
            return
        end
        core.msleep(PAUSE)
    end
end, 0)
