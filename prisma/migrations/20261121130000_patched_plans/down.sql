DROP TABLE "patched_plans";
