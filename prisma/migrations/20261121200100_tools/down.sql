DROP TABLE "tool_calls";
DROP TABLE "tool_pins";
DROP TABLE "tools";
