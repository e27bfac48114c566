DROP TABLE "message_deliveries";
DROP TABLE "agent_messages";
DROP TABLE "message_webhooks";
