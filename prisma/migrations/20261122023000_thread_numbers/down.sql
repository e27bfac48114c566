DROP TABLE "thread_numbers";
