-- The same job as the filter's, for Envoy's Lua filter: what a user would write instead, and written
-- to be fast. Its answers are compared with the filter's, byte for byte, before anything is measured.
--
-- What it leaves out, all of it to its own advantage: it knows a disguised path only by one order of
-- normalising, takes nothing but {"count":N} for a count (no other members, no escapes), keeps no
-- message, challenge or retry-after of the store's, and has no configuration. A header that a client sent
-- twice goes to the store as one, with a comma.

local byte, find, format, gmatch, gsub = string.byte, string.find, string.format, string.gmatch, string.gsub
local lower, match, sub, char = string.lower, string.match, string.sub, string.char
local concat = table.concat

local CLUSTER, AUTHORITY = "store", "store"
local OPTIONS = {timeout_ms = 1000, send_xff = false}

-- Tables that answer at once what would else be computed.
local HEX, ENCODED = {}, {}
for code = 0, 255 do
  local upper = format("%02X", code)
  local first, second = sub(upper, 1, 1), sub(upper, 2, 2)
  for _, high in ipairs({first, lower(first)}) do
    for _, low in ipairs({second, lower(second)}) do HEX[high .. low] = char(code) end
  end
  ENCODED[char(code)] = "%" .. upper
end

-- === Answers ===

local JSON = {[":status"] = "200", ["content-type"] = "application/json"}

local function fault_headers(status)
  return {[":status"] = status, ["content-type"] = "application/json"}
end

local function prebuilt(status, name, message)
  return {
    headers = fault_headers(status),
    body = '{"' .. name .. '":{"code":' .. status .. ',"message":"' .. message .. '"}}',
  }
end

local NOT_FOUND = prebuilt("404", "itemNotFound", "The resource could not be found.")
local BAD_METHOD = prebuilt("405", "badMethod", "Only GET counts backup sharings.")
BAD_METHOD.headers["allow"] = "GET"
local NOT_ACCEPTABLE = prebuilt("406", "computeFault",
  "The answer is application/json, which the accept header rules out.")
local BODY = prebuilt("400", "badRequest", "content-length: expected 0, for this call has no body")
local TWO_TOKENS = prebuilt("400", "badRequest", "x-auth-token: expected one, got several")
local INVALID = prebuilt("502", "computeFault", "The count store gave an answer that cannot be used.")
local OTHER_STATUS = prebuilt("502", "computeFault",
  "The count store answered with a status that this call does not have.")
local UNAVAILABLE = prebuilt("503", "serviceUnavailable", "The count store is unavailable. Try again later.")
local TIMED_OUT = prebuilt("504", "computeFault", "The count store did not answer in time.")
local STORE = {
  ["400"] = prebuilt("400", "badRequest", "The request is malformed."),
  ["401"] = prebuilt("401", "unauthorized", "The request needs authentication."),
  ["403"] = prebuilt("403", "forbidden", "You may not do this in this project."),
  ["404"] = NOT_FOUND,
  ["407"] = prebuilt("407", "computeFault", "The proxy in front of the count store needs authentication."),
  ["408"] = TIMED_OUT,
  ["409"] = prebuilt("409", "conflictingRequest", "The request conflicts with another."),
  ["429"] = UNAVAILABLE,
  ["500"] = prebuilt("500", "computeFault", "The count failed for a reason inside the service."),
  ["501"] = prebuilt("501", "notImplemented", "The count store does not support this call."),
  ["502"] = INVALID,
  ["503"] = UNAVAILABLE,
  ["504"] = TIMED_OUT,
}
local BAD_REQUEST = fault_headers("400")

local ESCAPES = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}
for code = 0, 31 do ESCAPES[char(code)] = ESCAPES[char(code)] or format("\\u%04x", code) end

local function bad_request(message)
  message = gsub(message, '[%z\1-\31"\\]', ESCAPES)
  return {headers = BAD_REQUEST, body = '{"badRequest":{"code":400,"message":"' .. message .. '"}}'}
end

-- === UTF-8 ===

-- The end of the character that begins at `at`; or nil, and the end of what is none.
local function character(text, at)
  local first, second = byte(text, at, at + 1)
  if first < 0x80 then return at end
  local length, from, to = 0, 0x80, 0xBF
  if first >= 0xC2 and first <= 0xDF then length = 1
  elseif first >= 0xE0 and first <= 0xEF then
    length = 2
    if first == 0xE0 then from = 0xA0 elseif first == 0xED then to = 0x9F end
  elseif first >= 0xF0 and first <= 0xF4 then
    length = 3
    if first == 0xF0 then from = 0x90 elseif first == 0xF4 then to = 0x8F end
  else
    return nil, at
  end
  if not second or second < from or second > to then return nil, at end
  for next = at + 2, at + length do
    local continuation = byte(text, next)
    if not continuation or continuation < 0x80 or continuation > 0xBF then return nil, next - 1 end
  end
  return at + length
end

local function is_utf8(text)
  local at = find(text, "[\128-\255]")
  while at do
    local last = character(text, at)
    if not last then return false end
    at = find(text, "[\128-\255]", last + 1)
  end
  return true
end

-- At most 64 characters in quotes; what is no character becomes U+FFFD.
local function quote(text)
  local characters, at, count = {}, 1, 0
  while at <= #text do
    if count == 64 then return '"' .. concat(characters) .. '"…' end
    local last, skipped = character(text, at)
    count = count + 1
    characters[count] = last and sub(text, at, last) or "\239\191\189"
    at = (last or skipped) + 1
  end
  return '"' .. concat(characters) .. '"'
end

-- === The path ===

local function is_disguised(path)
  if not (find(path, "[%%\\;]") or find(path, "//", 1, true) or find(path, "/.", 1, true) or byte(path, -1) == 47) then
    return false
  end
  path = gsub(path, "%%(%x%x)", HEX)
  path = gsub(path, "\\", "/")
  path = gsub(path, ";[^/]*", "")
  path = gsub(path, "/+", "/")
  local kept = {}
  for segment in gmatch(path, "[^/]+") do
    if segment == ".." then kept[#kept] = nil
    elseif segment ~= "." then kept[#kept + 1] = segment end
  end
  return #kept == 4 and kept[1] == "v2" and kept[3] == "os-vendor-backup-sharing" and kept[4] == "count"
end

-- === Accept ===

-- What nearly all clients send.
local ACCEPTED = {["application/json"] = true, ["*/*"] = true, ["application/*"] = true, [""] = true}

-- The elements of a list, split at commas outside quoted strings.
local function split(field)
  local elements = {}
  if not find(field, '"', 1, true) then
    for element in gmatch(field, "[^,]+") do elements[#elements + 1] = element end
    return elements
  end
  local from, quoted, escaped = 1, false, false
  for at = 1, #field do
    local c = byte(field, at)
    if c == 44 and not quoted then
      elements[#elements + 1] = sub(field, from, at - 1)
      from = at + 1
    elseif c == 34 and not escaped then
      quoted = not quoted
    end
    escaped = c == 92 and quoted and not escaped
  end
  elements[#elements + 1] = sub(field, from)
  return elements
end

local TOKEN = "[%w!#$%%&'*+%-.^_`|~]+"
local RANGE = "^[ \t]*(" .. TOKEN .. ")/(" .. TOKEN .. ")[ \t]*()"
local PARAMETER = "^;[ \t]*(" .. TOKEN .. ")=()"
local VALUE = "^(" .. TOKEN .. ")[ \t]*()"

-- In thousandths; nil if it is no qvalue.
local function weigh(value)
  if not (find(value, "^[01]$") or find(value, "^[01]%.%d?%d?%d?$") or find(value, "^%.%d%d?%d?$")) then return nil end
  local weight = tonumber(value) * 1000
  return weight <= 1000 and weight or nil
end

-- How specifically a range names application/json (0: not at all) and its weight; nil if it is none.
local function read_range(element)
  local kind, subtype, at = match(element, RANGE)
  if not kind then
    -- Java's own client before version 19 sends `*` for `*/*`, and `.2` for `0.2`.
    at = match(element, "^[ \t]*%*[ \t]*()")
    if not at then return nil end
    kind, subtype = "*", "*"
  end
  if kind == "*" and subtype ~= "*" then return nil end
  local weight, narrowed
  while byte(element, at) == 59 do
    local name, from = match(element, PARAMETER, at)
    if name then
      local value, after = match(element, VALUE, from)
      local quoted = false
      if not value then
        if byte(element, from) ~= 34 then return nil end
        local last = from + 1
        while byte(element, last) ~= 34 do
          if last > #element then return nil end
          last = last + (byte(element, last) == 92 and 2 or 1)
        end
        value = sub(element, from + 1, last - 1)
        if find(value, "[%z\1-\8\10-\31\127]") then return nil end
        value, quoted = gsub(value, "\\(.)", "%1"), true
        after = match(element, "^[ \t]*()", last + 1)
      end
      name = lower(name)
      if name == "q" then
        local again = weight
        weight = not quoted and weigh(value)
        if again or not weight then return nil end
      elseif name ~= "charset" or lower(value) ~= "utf-8" then
        narrowed = true
      end
      at = after
    else
      at = match(element, "^;[ \t]*()", at)
      local c = byte(element, at)
      if c and c ~= 59 then return nil end
    end
  end
  if at <= #element then return nil end
  weight = weight or 1000
  if narrowed then return 0, weight end
  if kind == "*" then return 1, weight end
  if lower(kind) ~= "application" then return 0, weight end
  if subtype == "*" then return 2, weight end
  return lower(subtype) == "json" and 3 or 0, weight
end

local function accepts_json(headers, joined)
  local absent, best, best_weight = true, 0, 0
  local fields = headers:getNumValues("accept")
  for index = 0, fields - 1 do
    local field = fields == 1 and joined or headers:getAtIndex("accept", index) or ""
    for _, element in ipairs(split(field)) do
      local specific, weight = read_range(element)
      if specific then
        absent = false
        if specific > best or (specific == best and weight > best_weight) then
          best, best_weight = specific, weight
        end
      end
    end
  end
  return absent or (best > 0 and best_weight > 0)
end

-- === The query ===

local BOOLEANS = {}
for _, word in ipairs({"1", "t", "true", "on", "y", "yes"}) do BOOLEANS[word] = "true" end
for _, word in ipairs({"0", "f", "false", "off", "n", "no"}) do BOOLEANS[word] = "false" end

local STATUS_LIST = {"available", "creating", "deleting", "error", "error_deleting", "error_restoring", "restoring"}
local STATUSES = {}
for _, word in ipairs(STATUS_LIST) do STATUSES[word] = word end

local UUID = "^" .. gsub("8-4-4-4-12", "%d+", function(n) return string.rep("%x", tonumber(n)) end):gsub("%-", "%%-") .. "$"

local function boolean(text) return BOOLEANS[lower(text)] end
local function status(text) return STATUSES[lower(text)] end
local function uuid(text) return #text == 36 and find(text, UUID) and lower(text) end
local function project_id(text)
  return #text >= 1 and #text <= 64 and not find(text, "[^%w_%-]") and text
end
local function text(value)
  if value == "" or find(value, "%c") then return nil end
  if find(value, "[\128-\255]") then
    if find(value, "\194[\128-\159]") then return nil end
    if #value > 255 then
      local _, characters = gsub(value, "[^\128-\191]", "")
      if characters > 255 then return nil end
    end
  elseif #value > 255 then
    return nil
  end
  return (gsub(value, "[^%w%-._~]", ENCODED))
end

local PROJECT_EXPECTED = "1 to 64 of 0-9 A-Z a-z _ -"
local TEXT_EXPECTED = "1 to 255 characters, none of them a control character"
-- In the documented order; `read` gives the value as it is sent to the store.
local FILTERS = {
  {name = "share_to_me", read = boolean, expected = "true or false"},
  {name = "volume_id", read = uuid, expected = "a UUID"},
  {name = "name", read = text, expected = TEXT_EXPECTED},
  {name = "status", read = status, expected = "one of " .. concat(STATUS_LIST, ", ")},
  {name = "backup_id", read = uuid, expected = "a UUID"},
  {name = "from_project_id", read = project_id, expected = PROJECT_EXPECTED},
  {name = "to_project_id", read = project_id, expected = PROJECT_EXPECTED},
  {name = "avalilability_zone", alias = "availability_zone", read = text, expected = TEXT_EXPECTED},
}
local BY_NAME, NAMES = {}, {}
for place, filter in ipairs(FILTERS) do
  filter.place, filter.assign = place, filter.name .. "="
  BY_NAME[filter.name], NAMES[place] = filter, filter.name
  if filter.alias then BY_NAME[filter.alias] = filter end
end
local ONE_OF_NAMES = concat(NAMES, ", ")

-- The decoded text; or nil and what was expected.
local function decode(piece)
  if find(piece, "[%%+\128-\255]") then
    if find(piece, "+", 1, true) then piece = gsub(piece, "+", " ") end
    if find(piece, "%", 1, true) then
      if find(piece, "%%%X") or find(piece, "%%%x%X") or find(piece, "%%%x?$") then
        return nil, "two hex digits after every %"
      end
      piece = gsub(piece, "%%(%x%x)", HEX)
    end
    if not is_utf8(piece) then return nil, "percent-encoded UTF-8" end
  end
  return piece
end

local function bad(parameter, expected, value)
  local got = value == "" and "nothing" or quote(value)
  return bad_request(parameter .. ": expected " .. expected .. ", got " .. got)
end

-- Filled and emptied within one call, so that a request allocates neither.
local values, pieces = {}, {}

-- The store's query, with its `?`; or nil and the answer.
local function read_query(query)
  for place = 1, #FILTERS do values[place] = nil end
  for piece in gmatch(query, "[^&]+") do
    local equals = find(piece, "=", 1, true)
    local raw_name = equals and sub(piece, 1, equals - 1) or piece
    local raw_value = equals and sub(piece, equals + 1) or ""
    local name, expected = decode(raw_name)
    if not name then return nil, bad(quote(raw_name), expected, raw_name) end
    local filter = BY_NAME[name]
    if not filter then
      return nil, bad_request(quote(name) .. " is not a filter of this call; expected one of " .. ONE_OF_NAMES)
    end
    if values[filter.place] then
      local both = filter.alias and filter.name .. " (or " .. filter.alias .. ")" or filter.name
      return nil, bad_request(both .. ": expected once, got it again")
    end
    local value
    value, expected = decode(raw_value)
    if not value then return nil, bad(name, expected, raw_value) end
    local sent = filter.read(value)
    if not sent then return nil, bad(name, filter.expected, value) end
    values[filter.place] = sent
  end
  local count = 0
  for place = 1, #FILTERS do
    local value = values[place]
    if value then
      pieces[count + 1], pieces[count + 2], pieces[count + 3] =
        count == 0 and "?" or "&", FILTERS[place].assign, value
      count = count + 3
    end
  end
  return concat(pieces, "", 1, count)
end

-- === The callout ===

local FORWARDED = {"x-request-id", "x-openstack-request-id", "traceparent", "tracestate", "b3",
  "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"}

-- The callout's headers; or nil and the answer. To ask for each of them costs less than to look at all
-- that there are, be they 5 or 40.
local function callout(headers, path)
  local sent = {[":method"] = "GET", [":path"] = path, [":authority"] = AUTHORITY, ["accept"] = "application/json"}
  local token = headers:get("x-auth-token")
  if token then
    if find(token, "[^ -~]") then return nil, bad_request("x-auth-token: expected printable ASCII") end
    if find(token, ",", 1, true) and headers:getNumValues("x-auth-token") > 1 then return nil, TWO_TOKENS end
    sent["x-auth-token"] = token
  end
  for at = 1, 10 do
    local name = FORWARDED[at]
    local value = headers:get(name)
    if value then
      if find(value, "[^ -~]") then return nil, bad_request(name .. ": expected printable ASCII") end
      sent[name] = value
    end
  end
  return sent
end

-- Whether the digits are an integer of JSON up to 2^63-1.
local function in_range(digits)
  if byte(digits) == 48 then return digits == "0" end
  return #digits < 19 or (#digits == 19 and digits <= "9223372036854775807")
end

local function conclude(status, body)
  if status == "200" then
    local digits = body and match(body, '^%s*{%s*"count"%s*:%s*(%d+)%s*}%s*$')
    if not digits or not in_range(digits) or #body > 65536 then return INVALID end
    return nil, '{"count":' .. digits .. "}"
  end
  return STORE[status] or OTHER_STATUS
end

-- The check of a request: the callout's path, or nil and the answer. Nothing at all: it passes.
local function judge(headers)
  local path = headers:get(":path")
  local project, after = match(path, "^/v2/([^/?]+)/os%-vendor%-backup%-sharing/count()")
  local query = ""
  if project and after <= #path then
    if byte(path, after) == 63 then query = sub(path, after + 1) else project = nil end
  end
  if not project then
    local mark = find(path, "?", 1, true)
    if is_disguised(mark and sub(path, 1, mark - 1) or path) then return nil, NOT_FOUND end
    return nil
  end
  if headers:get(":method") ~= "GET" then return nil, BAD_METHOD end
  local accept = headers:get("accept")
  if accept and not ACCEPTED[accept] and not accepts_json(headers, accept) then return nil, NOT_ACCEPTABLE end
  local length = headers:get("content-length")
  if length and (length == "" or find(length, "[^0]")) then return nil, BODY end
  if not project_id(project) then return nil, bad("project_id", PROJECT_EXPECTED, project) end
  local asked, answer = "", nil
  if query ~= "" then
    asked, answer = read_query(query)
    if not asked then return nil, answer end
  end
  return "/v2/" .. project .. "/os-vendor-backup-sharing/count" .. asked
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local path, answer = judge(headers)
  local sent
  if path then
    sent, answer = callout(headers, path)
  end
  if sent then
    local answered, body = handle:httpCall(CLUSTER, sent, nil, OPTIONS)
    local count
    answer, count = conclude(answered[":status"], body)
    if count then handle:respond(JSON, count) end
  end
  if answer then handle:respond(answer.headers, answer.body) end
end
