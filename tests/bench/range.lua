-- Linearizable ranges of single keys out of those that put.lua wrote.
local number = 0
request = function()
  number = (number * 7919 + 13) % 10000
  local key = string.format("a2V5LTAwMDAwMDAwMDAwMDAwMDAwMDAw%08d", number)
  return wrk.format("POST", "/v3/kv/range", { ["Content-Type"] = "application/json" }, '{"key":"' .. key .. '"}')
end
