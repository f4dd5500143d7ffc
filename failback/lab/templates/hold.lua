-- Holds requests while their service's door is closed.
--
-- The map of doors has a line per service: `open`, or the time in milliseconds since the
-- epoch until which its requests are held. The time is part of the value, so that a door opens
-- by itself when whoever closed it is gone.

local doors = ...
local states = Map.new(doors, Map._str)
local held = 0

local function remaining(service)
    local closed_until = tonumber(states:lookup(service) or "")
    if closed_until == nil then
        return 0
    end
    local now = core.now()
    return closed_until - (now.sec * 1000 + now.usec / 1000)
end

core.register_action("hold", { "http-req", "tcp-req" }, function(_, service)
    if remaining(service) <= 0 then
        return
    end
    held = held + 1
    repeat
        -- A few are asked every 2 ms; a crowd shares about 50 000 questions a second.
        core.msleep(2 + held // 50)
    until remaining(service) <= 0
    held = held - 1
end, 1)
