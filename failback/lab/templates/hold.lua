-- Holds requests while their service's door is closed.
--
-- The map of doors has a line per service: `open`, or the time in milliseconds since the
-- epoch until which its requests are held. The time is part of the value, so that a door opens
-- by itself when whoever closed it is gone.

local doors = ...
local states = Map.new(doors, Map._str)

local function remaining(service)
    local closed_until = tonumber(states:lookup(service) or "")
    if closed_until == nil then
        return 0
    end
    local now = core.now()
    return closed_until - (now.sec * 1000 + now.usec / 1000)
end

core.register_action("hold", { "http-req", "tcp-req" }, function(_, service)
    local waited = 0
    while remaining(service) > 0 do
        -- Every 2 ms at first, for the usual hold of some hundred milliseconds; a long one is
        -- looked at less often, so that a crowd that waits costs little.
        local pause = math.min(2 + waited // 100, 50)
        core.msleep(pause)
        waited = waited + pause
    end
end, 1)
