DROP TABLE "model_quotas";
