-- Puts of 30-byte keys (10,000 of them) and 256-byte values; wrk runs this once a thread.
local value = string.rep("dmFs", 85) .. "dg=="
local number = 0
request = function()
  number = (number * 7919 + 13) % 10000
  local key = string.format("a2V5LTAwMDAwMDAwMDAwMDAwMDAwMDAw%08d", number)
  return wrk.format("POST", "/v3/kv/put", { ["Content-Type"] = "application/json" },
    '{"key":"' .. key .. '","value":"' .. value .. '"}')
end
