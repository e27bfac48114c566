-- AlterTable
ALTER TABLE "runs" ADD COLUMN     "ending" JSONB,
ADD COLUMN     "ending_at" TIMESTAMPTZ(3);

-- CreateIndex
CREATE INDEX "runs_ending_at_idx" ON "runs"("ending_at");

-- As append_events, but the end that a walk tells waits in runs.ending until Temporal has closed the run.
CREATE FUNCTION append_told(p_run jsonb, p_events jsonb) RETURNS TABLE (status text, last_seq int, appended int)
LANGUAGE plpgsql AS $$
DECLARE
  v_end jsonb;
BEGIN
  SELECT value INTO v_end FROM jsonb_array_elements(p_events) WITH ORDINALITY AS t(value, n)
  WHERE value ? 'isPending' ORDER BY (value ->> 'time')::float8 DESC, n DESC LIMIT 1;
  IF v_end IS NULL THEN
    RETURN QUERY SELECT * FROM append_events(p_run, p_events);
    RETURN;
  END IF;
  -- Also without events: it makes the run's row.
  RETURN QUERY SELECT * FROM append_events(p_run, (
    SELECT coalesce(jsonb_agg(value ORDER BY n), '[]') FROM jsonb_array_elements(p_events) WITH ORDINALITY AS t(value, n)
    WHERE NOT value ? 'isPending'));
  -- Temporal may still refuse it: what a later task says stands.
  UPDATE runs r SET ending = v_end - 'isPending', ending_at = now()
  WHERE r.id = p_run ->> 'id' AND NOT is_terminal(r.status)
    AND coalesce((r.ending ->> 'time')::float8, 0) <= (v_end ->> 'time')::float8;
END $$;
