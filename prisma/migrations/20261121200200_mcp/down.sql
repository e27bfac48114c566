DROP TABLE "mcp_pins";
DROP TABLE "mcp_servers";
